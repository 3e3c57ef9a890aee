"""`dfpipe report`."""

import sys
from contextlib import closing
from pathlib import Path

import click

from dfpipe.commands.options import SINK, require_sink, store_option
from dfpipe.commands.query import readable
from dfpipe.files import write_whole
from dfpipe.report.page import STORIES, Findings, read, render
from dfpipe.warehouse import connect
from dfpipe.warehouse.named_queries import Parameter

TS = Parameter("ts", "TIMESTAMP", "NULL", "")
EXAMPLES = """\b
Examples:
  dfpipe report --sink duckdb:///results.duckdb --output report.html
  dfpipe report --store sqlite:///posts.db --output - | mail -a 'Content-Type: text/html' ann
"""


@click.command("report", short_help="Write a run as one HTML file.", epilog=EXAMPLES)
@SINK
@store_option(required=False)
@click.option(
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The HTML file; - for standard output.",
)
@click.option("--ts", metavar="TIME", help="Report the newest run at or before this time.")
def command(sink: str | None, store: str | None, output: Path, ts: str | None) -> None:
    """Write a run as one self-contained HTML file: stories, words, pairs and links.

    The file has no scripts and loads nothing, so it can be sent as an e-mail. With --store, each
    story shows an example post.
    """
    found = read(connect(require_sink(sink)), TS.value(ts))
    page = render(found, _examples(found, store) if store else {}).encode()
    if output == Path("-"):
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
    else:
        write_whole([page], output)


def _examples(found: Findings, store: str) -> dict[int, str]:
    """Return the first post of each story that is in a store, with its user. Raises DfpipeError."""
    from dfpipe import datastore
    from dfpipe.posts.post import KIND

    tids = [story["tid"] for story in found.stories[:STORIES]]
    with closing(datastore.connect(store, create=False)) as client:
        posts = datastore.get_values(client, [client.key(KIND, t) for t in tids], "user", "text")
    return {
        tid: ": ".join(readable(" ".join(part.split())) for part in post if isinstance(part, str))
        for tid, post in zip(tids, posts, strict=True)
        if post is not None
    }
