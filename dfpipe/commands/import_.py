"""`dfpipe import`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import click

from dfpipe.commands.options import COLUMNS, FORMATS, is_quiet, store_option
from dfpipe.errors import DfpipeError

HELP = """Read archives of posts into a store; - is standard input.

FILE is a file, a folder, or an archive as you downloaded it: zip, tar, tar.gz, tar.bz2, tar.xz
or tar.zst. What is compressed (gz, bz2, xz, zst) is read as it is. Formats are recognised by
their content: JSON lines of this project; X's v1.1 and v2, its personal archives, and what
twarc, snscrape and twint write; Mastodon's timelines and outboxes; Bluesky's feeds, records,
repositories and Jetstream; tables in CSV or Parquet. Files without posts in a folder or an
archive are passed over and counted.

Everything is read twice: first to the end, then to store it, 500 posts at a time. A record that
cannot be stored is skipped and reported. A file that cannot be read, or not to its end, does
not stop the others, but the exit status is 1. With --strict either stops the import before
anything is stored. To complete an interrupted import, run it again: posts that are stored
already change nothing, unless a newer version (edited_at) or a longer text of the same version
replaces them. A post that a deletion notice in one of the files names is removed and not
stored, whichever comes first.
"""
EXAMPLES = """\b
Examples:
  dfpipe import tweets.jsonl.xz --store sqlite:///posts.db
  dfpipe import twitter-2024-01-01-abc.zip --store sqlite:///posts.db
  dfpipe import page_*.json archive/ --store sqlite:///posts.db --strict
  curl -s https://mastodon.social/api/v1/timelines/public |
    dfpipe import - --store sqlite:///posts.db
"""


@click.command(
    "import", help=HELP, short_help="Read archives of posts into a store.", epilog=EXAMPLES
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@store_option()
@click.option(
    "--strict",
    is_flag=True,
    help="Store nothing if any record would be skipped or any file cannot be read.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Move all times by one constant, so that the newest post is from now; ids stay the same.",
)
@COLUMNS
@click.option("--json", "format_", flag_value="json", hidden=True)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print the report; csv has a header and the counts.",
)
def command(
    files: tuple[str, ...],
    store: str,
    strict: bool,
    shift_to_now: bool,
    columns: str,
    format_: str,
) -> None:
    """Import archives, as HELP says."""
    # None of this is needed for --help, and it takes half a second to import.
    from dfpipe.commands import import_report
    from dfpipe.datastore import check, connect
    from dfpipe.posts import importing, scanning
    from dfpipe.posts.formats.columns import parse_columns

    named = parse_columns(columns) if columns else {}
    check(store)
    with (
        importing.sources(files, sys.stdin.buffer, named) as archives,
        import_report.bar(is_quiet()) as show,
    ):
        scanned = scanning.scan(archives, strict, show)
        import_report.warn(scanned)
        clock = partial(datetime.now, UTC)
        shift_to = clock() if shift_to_now else None
        with closing(connect(store, verify=True)) as client:
            report = importing.store(archives, scanned, client, clock, shift_to=shift_to, show=show)
    click.echo(import_report.TEXTS[format_](report))
    if scanned.failures:
        raise DfpipeError(import_report.failed(scanned.failures))
