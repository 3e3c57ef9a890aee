"""Analyzes the demo's timeline as of earlier days: `python -m system.back_runs STORE SINK TIME`.

Histories then have a shape. The runs are made in the background, the latest day first, as only
their number matters to the pages, not how soon they are there.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta

import click

from dfpipe import datastore, launch, warehouse
from dfpipe.demo import timeline
from dfpipe.errors import NoResultsError
from dfpipe.posts import storing

DAYS = 14
DAY = timedelta(days=1)
WINDOW = timedelta(days=4)  # of an analysis
NICENESS = 10  # the pages come first


def missing(now: datetime, known: Sequence[datetime]) -> Iterator[datetime]:
    """Yield the times of the last days as of which there is no run, the latest first.

    A run that is at most half a day away serves for a day: an earlier start made it.
    """
    for day in range(1, DAYS + 1):
        moment = now - day * DAY
        if all(abs(moment - ts) > DAY / 2 for ts in known):
            yield moment


def main(argv: Sequence[str]) -> None:
    """Store the posts of the days, and make the runs. Raises DfpipeError."""
    store, sink, now = *argv[:2], datetime.fromisoformat(argv[2])
    os.nice(NICENESS)
    moments = list(missing(now, _known(sink)))
    if not moments:
        return
    posts = timeline.timeline(moments[-1] - WINDOW, moments[0])
    with closing(datastore.connect(store)) as client:
        storing.store(client, posts, now=datetime.now(now.tzinfo))
    for moment in moments:
        launch.launch([f"--store={store}", f"--sink={sink}", f"--until={moment.isoformat()}"], {})
    click.echo(f"analyzed the timeline as of {len(moments)} earlier days")


def _known(sink: str) -> list[datetime]:
    try:
        return [row[0] for row in warehouse.connect(sink).query("latest_runs").rows]
    except NoResultsError:
        return []


if __name__ == "__main__":
    main(sys.argv[1:])
