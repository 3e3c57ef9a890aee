"""`dfpipe story`."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from dfpipe.commands.options import SINK, require_sink, store_option
from dfpipe.commands.query import readable
from dfpipe.commands.story_text import bars, rise, size
from dfpipe.errors import NoResultsError
from dfpipe.warehouse import Warehouse
from dfpipe.warehouse.named_queries import ResultRow


@click.command("story", short_help="Show one story with its timeline, links and posts.")
@click.argument("w1")
@click.argument("w2")
@SINK
@store_option(
    "Where the posts are, to show examples: sqlite:///FILE or datastore://PROJECT", required=False
)
@click.option(
    "--ts",
    metavar="TIME",
    help="Use the newest run at or before this time, or this date's beginning.",
)
def command(w1: str, w2: str, sink: str | None, store: str | None, ts: str | None) -> None:
    """Show the story whose leading edge is the two words W1 and W2, in any order.

    `dfpipe query stories` lists the stories of a run with their leading edges (w1 and w2).
    """
    from dfpipe import warehouse

    results = warehouse.connect(require_sink(sink))
    with results.reading():
        story = find(results, min(w1, w2), max(w1, w2), ts)
        own = results.query("story", w1=story["w1"], w2=story["w2"], ts=story["ts"]).dicts()
        run = next(run for run in results.query("latest_runs").dicts() if run["ts"] == story["ts"])
    for line in story_lines(story, own, run):
        click.echo(line)
    for line in examples([row for row in own if row["item"] == "post"], store):
        click.echo(line)


def find(warehouse: Warehouse, w1: str, w2: str, ts: str | None) -> ResultRow:
    """Return a story of a run by its leading edge. Raises NoResultsError."""
    stories = warehouse.query("stories", ts=ts).dicts()
    for story in stories:
        if (story["w1"], story["w2"]) == (w1, w2):
            return story
    near = [f"{s['w1']} {s['w2']}" for s in stories if {w1, w2} & set(s["words"].split())]
    hint = f"did you mean {', '.join(near[:3])}?" if near else "see `dfpipe query stories`"
    raise NoResultsError(f"the run has no story with the leading edge {w1} {w2}: {hint}")


def story_lines(story: ResultRow, own: Sequence[ResultRow], run: ResultRow) -> Iterator[str]:
    """Give the lines on a story, but for its examples."""
    yield readable(story["words"])
    yield f"{size(story)} ({story['percent']:.2f} % of the run's posts){rise(story)}"
    yield f"{story['recent']:,} recent posts, {story['before']:,} before; {story['pairs']} pairs"
    yield f"from {story['first_seen']:%Y-%m-%d %H:%M} to {story['last_seen']:%Y-%m-%d %H:%M} UTC"
    yield bars(story, run)
    links = [row for row in own if row["item"] == "url"]
    if links:
        yield "Links:"
    for row in links:
        yield f"  {row['count']:,} × {readable(row['url'])}"


def examples(posts: Sequence[ResultRow], store: str | None) -> Iterator[str]:
    """Give the lines on example posts, which are looked up in the store."""
    yield "Posts:"
    texts: dict[int, Any] = _look_up([row["tid"] for row in posts], store) if store else {}
    for row in posts:
        post = texts.get(row["tid"])
        if not store:
            what = f"post {row['tid']} (give --store to see it)"
        elif post is None:
            what = f"post {row['tid']} is no longer in the store"
        else:
            user, text = (value if isinstance(value, str) else "" for value in post)
            what = f"{readable(user)}: {readable(' '.join(text.split()))}"
        yield f"  {row['count']:,} × {what}"


def _look_up(tids: Sequence[int], store: str) -> dict[int, tuple[object, ...]]:
    """Return the user and the text of the posts that are in a store. Raises DfpipeError."""
    from dfpipe import datastore
    from dfpipe.posts.post import KIND

    with closing(datastore.connect(store, create=False)) as client:
        keys = [client.key(KIND, tid) for tid in tids]
        found = datastore.get_values(client, keys, "user", "text")
    return {tid: post for tid, post in zip(tids, found, strict=True) if post is not None}
