"""`dfpipe export`."""

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

from dfpipe.commands.options import store_option
from dfpipe.times import EXPECTED, parse_time

EXAMPLES = """\b
Examples:
  dfpipe export --store sqlite:///posts.db --output posts.jsonl
  dfpipe export --store sqlite:///posts.db --since 2015-01-10 | xz > day.jsonl.xz
"""


class _Time(click.ParamType[datetime]):
    """A time in RFC 3339, or a date."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time in UTC; fail with what is expected."""
        try:
            return parse_time(value)
        except ValueError:
            self.fail(f"expected {EXPECTED} (got {value})", param, ctx)


@click.command("export", short_help="Write the posts of a store as JSON lines.", epilog=EXAMPLES)
@store_option()
@click.option(
    "--since",
    type=_Time(),
    metavar="TIME",
    help="Only posts from this time on, such as 2015-01-10.",
)
@click.option("--until", type=_Time(), metavar="TIME", help="Only posts before this time.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write; it appears once it is complete.  [default: standard output]",
)
def command(
    store: str, since: datetime | None, until: datetime | None, output: Path | None
) -> None:
    """Write the posts of a store as JSON lines, sorted by created_at, then by tid.

    Each line has tid, user, text, created_at and urls. Importing the lines into an empty
    store gives an equal store.
    """
    # None of this is needed for --help, and it takes half a second to import.
    from dfpipe.datastore import connect
    from dfpipe.files import write_whole
    from dfpipe.posts import exporting

    with closing(connect(store, create=False, read_only=True, verify=True)) as client:
        lines = exporting.export_lines(client, since, until)
        if output is None:
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
        else:
            click.echo(f"{write_whole(lines, output):,} posts written to {output}")
