"""What `dfpipe import` shows: its progress on a terminal, and its report."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import click
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dfpipe.posts import importing, scanning
from dfpipe.posts.formats.result import ArchiveError

FAILURES_SHOWN = 5


class _Rate(ProgressColumn):
    """A column of the progress bar: records a second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last records."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def bar(quiet: bool = False) -> Iterator[scanning.Progress]:
    """Give a function that shows the progress on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield scanning.no_progress
        return
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.completed:,} records"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage)
            progress.update(tasks[stage], completed=done, total=total)

        yield show


def warn(scanned: scanning.Scan) -> None:
    """Print what is odd in the files, and why some of several cannot be read, on standard error."""
    for warning in scanned.warnings:
        click.echo(f"dfpipe: warning: {warning}", err=True)
    if len(scanned.failures) > 1:  # one alone is the last line
        for error in islice(scanned.failures.values(), FAILURES_SHOWN):
            click.echo(f"dfpipe: {error}", err=True)


def text(report: importing.Report) -> str:
    """Return the report in lines: the first number is the sum of those of the others.

    >>> skipped = {"x": importing.Skipped(1, ["a:1"])}
    >>> print(text(importing.Report(read=3, stored=2, skipped=skipped)))
             3 records read
             2 stored
             0 replaced by a newer version or a longer text
             0 seen before
             0 deletion notices and posts they delete (0 stored posts removed)
             1 skipped
               1 x (a:1)
    """
    skipped = sorted(report.skipped.items(), key=lambda item: (-item[1].count, item[0]))
    lines = [
        (report.read, "records read"),
        (report.stored, "stored"),
        (report.replaced, "replaced by a newer version or a longer text"),
        (report.seen, "seen before"),
        (
            report.deleted,
            f"deletion notices and posts they delete ({report.removed:,} stored posts removed)",
        ),
        (sum(skip.count for _, skip in skipped), "skipped"),
    ]
    shown = [f"{count:10,} {what}" for count, what in lines]
    shown += [f"{s.count:12,} {reason} ({_places(s)})" for reason, s in skipped]
    if report.passed_over:
        shown.append(f"passed over: {scanning.counts(report.passed_over)}")
    return "\n".join(shown)


def failed(failures: Mapping[str, ArchiveError]) -> str:
    """Return the line with which an import ends where files could not be read whole.

    >>> failed({"a.gz": ArchiveError("a.gz is damaged: get it again")})
    'a.gz is damaged: get it again; what could be read is stored'
    """
    names = [*failures]
    if len(names) == 1:
        return f"{failures[names[0]]}; what could be read is stored"
    more = f" and {len(names) - FAILURES_SHOWN:,} more" if len(names) > FAILURES_SHOWN else ""
    return (
        f"{len(names):,} files could not be read whole: {', '.join(names[:FAILURES_SHOWN])}{more}; "
        "what could be read is stored"
    )


def _places(skipped: importing.Skipped) -> str:
    more = ", ..." if skipped.count > len(skipped.first) else ""
    return ", ".join(skipped.first) + more


def json_text(report: importing.Report) -> str:
    """Return the report as one JSON object, the fields of `importing.Report`."""
    return orjson.dumps(dataclasses.asdict(report), option=orjson.OPT_INDENT_2).decode()


def csv_text(report: importing.Report) -> str:
    """Return the counts as a header and a row."""
    counts = {
        "read": report.read,
        "stored": report.stored,
        "replaced": report.replaced,
        "seen": report.seen,
        "deleted": report.deleted,
        "skipped": sum(skip.count for skip in report.skipped.values()),
        "removed": report.removed,
    }
    return f"{','.join(counts)}\n{','.join(map(str, counts.values()))}"


TEXTS = {"table": text, "json": json_text, "csv": csv_text}  # by --format
