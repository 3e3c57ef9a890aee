"""`dfpipe demo`."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from dfpipe.commands.folders import make_folder, program_name, sink_in, store_in
from dfpipe.importing import import_launch

TIMELINE = timedelta(days=6)  # the window of yesterday's run and a day
DAY = timedelta(days=1)
# Query, its parameters and how many rows of the answer are shown.
ANSWERS: tuple[tuple[str, dict[str, object], int], ...] = (
    ("popular_words", {}, 10),
    ("top_urls", {}, 8),
    ("interesting_pairs", {}, 10),
    ("emerging_pairs", {}, 10),
)
STORIES, BAR_WIDTH = 8, 48


@click.command("demo", short_help="Run the whole pipeline on a synthetic timeline.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for the posts and the results; created if absent.",
)
def command(folder: Path) -> None:
    """Store a synthetic timeline, analyse it as of yesterday and today, and print the results.

    Running it again adds the posts since the first run.
    """
    show_demo(folder, datetime.now(UTC).replace(microsecond=0))


def show_demo(folder: Path, now: datetime) -> None:
    """Store, analyse and query a timeline that ends now. Raises DfpipeError."""
    make_folder(folder)
    launch = import_launch()
    store, sink = store_in(folder), sink_in(folder)
    stored, seen = _import(store, now)
    click.echo(
        f"Stored {stored:,} synthetic posts covering {TIMELINE.days} days in {store}."
        + (f" {seen:,} were there already." if seen else "")
    )
    for name, until in (("Yesterday", now - DAY), ("Today", now)):
        argv = [f"--store={store}", f"--sink={sink}", f"--until={until.isoformat()}"]
        click.echo(f"{name}: {launch.launch(argv, {})}")
    program = program_name()
    _show_stories(store, sink, program)
    _answer(sink, program)
    click.echo("To do the same with your own archive from X, Mastodon or Bluesky:")
    click.echo(f"$ {program} try FILE")


def _show_stories(store: str, sink: str, program: str) -> None:
    from dfpipe import warehouse
    from dfpipe.commands.story_text import bars, line

    stories = warehouse.connect(sink).query("stories").dicts()[:STORIES]
    run = warehouse.connect(sink).query("latest_runs").dicts()[0]
    click.echo("The largest stories, and when people wrote about them:")
    for story in stories:
        click.echo(line(story))
        click.echo(f"    {bars(story, run, BAR_WIDTH)}")
    for story in stories[:1]:
        edge = f"{story['w1']} {story['w2']}"
        click.echo(f"More of one: {program} story {edge} --sink {sink} --store {store}")


def _answer(sink: str, program: str) -> None:
    from dfpipe import warehouse
    from dfpipe.commands.query import print_table
    from dfpipe.warehouse import named_queries

    for query, params, rows in ANSWERS:
        answer = warehouse.connect(sink).query(query, **params)
        given = "".join(f" --param {name}={value}" for name, value in params.items())
        click.echo(f"\n$ {program} query {query}{given} --sink {sink} --limit {rows}")
        print_table(named_queries.load(query), replace(answer, rows=answer.rows[:rows]), rows)


def _import(store: str, now: datetime) -> tuple[int, int]:
    """Store the timeline; return how many posts were new and how many were there."""
    from dfpipe import datastore
    from dfpipe.demo import timeline
    from dfpipe.posts import storing

    with closing(datastore.connect(store)) as client:
        posts = timeline.timeline(now - TIMELINE, now)
        stored = storing.store(client, posts, now=now)
    return stored.new, stored.seen
