"""`dfpipe import`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import click

from dfpipe.commands.options import store_option

EXAMPLES = """\b
Examples:
  dfpipe import tweets.jsonl.xz --store sqlite:///posts.db
  dfpipe import page_*.json archive/2011_12.js --store sqlite:///posts.db --strict
  curl -s https://mastodon.social/api/v1/timelines/public |
    dfpipe import - --store sqlite:///posts.db
"""


@click.command("import", short_help="Read archives of posts into a store.", epilog=EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@store_option()
@click.option(
    "--strict",
    is_flag=True,
    help="Store nothing if any record has to be skipped.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Move all times by one constant, so that the newest post is from now; ids stay the same.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    files: tuple[str, ...], store: str, strict: bool, shift_to_now: bool, as_json: bool
) -> None:
    """Read archives of posts into a store; - is standard input.

    Formats are recognised by their content, plain or compressed (gz, bz2, xz, zst): JSON lines of
    this project; X's v1.1 tweets as lines or pages, with notices of deletion; X's v2 pages, and
    single v2 tweets; the tweets of a personal archive; Bluesky's feeds; Mastodon's timelines.

    All files are read twice: first to the end, without storing anything, so that a missing, damaged
    or unknown file stops the import before it begins; an empty file among others is a warning. Then
    they are stored, 500 posts at a time. A record that cannot be stored is skipped and reported. An
    interrupted import leaves whole batches, and is completed by a second one. Importing a file
    again changes nothing: a stored post is replaced only by a newer version (edited_at) or by a
    longer text of the same version. A post that a deletion notice in one of the files names is
    removed and not stored, whichever comes first.
    """
    # None of this is needed for --help, and it takes half a second to import.
    from dfpipe.commands.import_report import bar, json_text, text
    from dfpipe.datastore import check, connect
    from dfpipe.posts import importing

    check(store)
    with importing.sources(files, sys.stdin.buffer) as archives, bar() as show:
        scanned = importing.scan(archives, strict, show)
        for warning in scanned.warnings:
            click.echo(f"dfpipe: warning: {warning}", err=True)
        clock = partial(datetime.now, UTC)
        shift_to = clock() if shift_to_now else None
        with closing(connect(store, verify=True)) as client:
            report = importing.store(archives, scanned, client, clock, shift_to=shift_to, show=show)
    click.echo(json_text(report) if as_json else text(report))
