"""`dfpipe try`."""

import math
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfpipe.commands.folders import make_folder, program_name, sink_in, store_in
from dfpipe.commands.options import COLUMNS, is_quiet
from dfpipe.errors import DfpipeError
from dfpipe.importing import import_launch

if TYPE_CHECKING:
    from dfpipe.posts.scanning import Scan

# The window has the newest posts, so that there is something to find in a quiet archive, and at
# least some days, so that a busy one has a past to compare with.
ENOUGH, LEAST_DAYS = 1_000, 4
RECENT_SHARE = 4  # the last quarter of the window is compared with the rest, as by default
DAY = timedelta(days=1)
WORDS = 10

EXAMPLES = """\b
Examples:
  dfpipe try twitter-2024-01-01-abc.zip
  dfpipe try outbox.json --until 2024-03-01T00:00:00Z --days 30
"""


@click.command(
    "try", short_help="Show what an archive talks about, in one command.", epilog=EXAMPLES
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--until", metavar="TIME", help="End of the window, exclusive.  [default: after the last post]"
)
@click.option(
    "--days",
    metavar="DAYS",
    help=f"Length of the window.  [default: that of the newest {ENOUGH:,} posts, at least "
    f"{LEAST_DAYS}]",
)
@click.option("--languages", metavar="L,L...", help="Languages whose stop words are left out.")
@COLUMNS
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the posts and the results.  [default: named after the first file]",
)
def command(
    files: tuple[str, ...],
    until: str | None,
    days: str | None,
    languages: str | None,
    columns: str,
    folder: Path | None,
) -> None:
    """Import archives of posts, analyse their last days, and print what they talk about.

    FILE is whatever `dfpipe import` takes. Posts and results stay in a folder in the current
    directory, for the commands that are printed at the end. Delete it when you are done: a second
    try with the same folder adds to its posts.
    """
    folder = folder or Path(folder_name(files[0]))
    given = {"--until": until, "--days": days, "--languages": languages}
    argv = [f"--store={store_in(folder)}", f"--sink={sink_in(folder)}"]
    argv += [f"{name}={value}" for name, value in given.items() if value is not None]
    if any(given.values()):  # a wrong one ends this before anything is stored
        launch = import_launch()
        launch.settings(launch.parse(argv, {}), datetime.now(UTC))
    scanned = _import(files, columns, folder)
    launch = import_launch()
    window = _window(store_in(folder), launch, argv)
    click.echo(
        f"Analysing {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}, {window.what}. To choose "
        "other days, give --until and --days."
    )
    if window.users == 1:
        click.echo(
            "The posts are by one person, so stories need no more people: in `dfpipe run`, give "
            "--story-users 1."
        )
    click.echo(launch.launch([*argv, *window.options()], {}, now=window.end, quiet=is_quiet()))
    _show(folder, window.end)
    if scanned.failures:
        from dfpipe.commands.import_report import failed

        raise DfpipeError(failed(scanned.failures))


def folder_name(file: str) -> str:
    """Return the name of the folder for a file.

    >>> folder_name("downloads/my archive.tar.gz"), folder_name("-")
    ('my-archive.dfpipe', 'posts.dfpipe')
    """
    stem = Path(file).resolve().name.partition(".")[0]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', stem).strip('-') or 'posts'}.dfpipe"


def _import(files: Sequence[str], columns: str, folder: Path) -> "Scan":
    # None of this is needed for --help, and it takes half a second to import.
    from dfpipe.commands import import_report
    from dfpipe.datastore import connect, count
    from dfpipe.posts import importing, scanning
    from dfpipe.posts.formats.columns import parse_columns
    from dfpipe.posts.post import KIND

    named = parse_columns(columns) if columns else {}
    sources = importing.sources(files, sys.stdin.buffer, named)
    with sources as archives, import_report.bar(is_quiet()) as show:
        scanned = scanning.scan(archives, show=show)
        import_report.warn(scanned)
        make_folder(folder)
        with closing(connect(store_in(folder), verify=True)) as client:
            clock = partial(datetime.now, UTC)
            before = count(client, client.query(kind=KIND))
            report = importing.store(archives, scanned, client, clock, show=show)
    skipped = sum(skip.count for skip in report.skipped.values())
    counts = [f"{report.stored + report.replaced:,} posts stored in {store_in(folder)}"]
    counts += [f"{report.seen:,} seen before"] if report.seen else []
    counts += [f"{skipped:,} records skipped (`dfpipe import` says why)"] if skipped else []
    click.echo(", ".join(counts))
    if report.passed_over:
        click.echo(f"passed over: {scanning.counts(report.passed_over)}")
    others = before - report.seen - report.replaced - report.removed
    if others > 0:
        click.echo(
            f"{folder} also has posts from an earlier try ({others:,}), which are analysed too: "
            "for these files alone, give another --folder"
        )
    return scanned


@dataclass(frozen=True, slots=True)
class TryWindow:
    """The window of a try, what is in it in words, and how many users its newest posts have."""

    start: datetime
    end: datetime
    what: str
    users: int

    def options(self) -> list[str]:
        """Return the options of a run over it."""
        length = self.end - self.start
        return [
            f"--days={length / DAY}",
            f"--recent={length / RECENT_SHARE / timedelta(hours=1)}",
            f"--story-users={min(2, max(1, self.users))}",
        ]


def window_of(
    end: datetime, newest: Sequence[tuple[datetime, str]], days: float | None = None
) -> TryWindow:
    """Choose the window before `end`, of `days` or as long as the newest posts need.

    `newest` are the created_at and user of posts before it, the newest first, one more than ENOUGH
    if there are so many.
    """
    posts = newest[:ENOUGH]
    users = len({user for _, user in posts})
    needed = math.ceil((end - posts[-1][0]) / DAY)
    what = "all posts" if len(newest) <= ENOUGH else f"the days of the newest {ENOUGH:,} posts"
    if days is not None:
        what = f"{days:g} days"
    elif needed < LEAST_DAYS:
        what = f"the last {LEAST_DAYS} days"
    length = days if days is not None else max(LEAST_DAYS, needed)
    return TryWindow(end - timedelta(days=length), end, what, users)


def _window(store: str, run: Any, argv: Sequence[str]) -> TryWindow:
    """Choose the window of a run with these arguments."""
    from google.cloud.datastore.query import PropertyFilter

    from dfpipe.datastore import connect
    from dfpipe.posts.post import KIND

    with closing(connect(store, create=False)) as client:
        query = client.query(kind=KIND, order=["-created_at"])
        last = [entity["created_at"] for entity in query.fetch(limit=1)]
        if not last:
            raise DfpipeError("no posts were stored: run `dfpipe import` to see why")
        options = run.parse(argv, {})
        chosen = run.settings(options, last[0].replace(microsecond=0) + timedelta(seconds=1))
        query.add_filter(filter=PropertyFilter("created_at", "<", chosen.end))
        newest = [(e["created_at"], e["user"]) for e in query.fetch(limit=ENOUGH + 1)]
    if not newest:
        raise DfpipeError(
            f"there are no posts before {chosen.end:%Y-%m-%dT%H:%M:%SZ}: give a later --until"
        )
    has_days = any(arg.startswith("--days=") for arg in argv)
    return window_of(chosen.end, newest, (chosen.end - chosen.start) / DAY if has_days else None)


def _show(folder: Path, ts: datetime) -> None:
    from dfpipe import warehouse
    from dfpipe.commands.story_text import closing_lines

    sink = sink_in(folder)
    results = warehouse.connect(sink)
    click.echo("\n".join(closing_lines(results, ts.replace(microsecond=0))))
    stories = results.query("stories", ts=ts.replace(microsecond=0)).dicts()
    if not stories:
        words = [row["word"] for row in results.query("popular_words").dicts()[:WORDS]]
        click.echo(f"The most frequent words: {', '.join(words)}")
    click.echo("To go on:")
    for story in stories[:1]:
        edge = f"{story['w1']} {story['w2']}"
        click.echo(f"$ {program_name()} story {edge} --sink {sink} --store {store_in(folder)}")
    click.echo(f"$ {program_name()} query interesting_pairs --sink {sink}")
