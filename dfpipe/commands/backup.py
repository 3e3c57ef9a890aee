"""`dfpipe backup`."""

from pathlib import Path

import click

from dfpipe.commands.options import store_option

EXAMPLES = """\b
Example:
  dfpipe backup --store sqlite:///posts.db --output backups/posts-monday.db
"""


@click.command("backup", short_help="Copy a store that is in use to a file.", epilog=EXAMPLES)
@store_option("sqlite:///FILE")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    required=True,
    help="A new file; it appears when it is complete.",
)
def command(store: str, output: Path) -> None:
    """Copy a store that is in use to a file.

    The copy is the store at one moment, with everything that is committed by then: other programs
    can keep writing meanwhile. Do not copy the file itself while it is in use, since what was
    written last is in another file beside it. A damaged store is refused. To restore a backup, stop
    the programs that use the store and put the copy in its place.
    """
    from dfpipe.datastore.backup import backup  # --help needs no SQLite

    click.echo(f"{backup(store, output):,} bytes written to {output}")
