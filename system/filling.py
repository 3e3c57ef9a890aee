"""The posts that the system starts with: from files, or a synthetic timeline that grows."""

import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

DEMO_TIMELINE = timedelta(days=6)
DEMO_SECONDS = 5.0  # between posts that are pushed
DEMO_SEEDS = range(1, 21)  # of the timelines that are pushed: one alone has a post a minute
WINDOW = timedelta(days=4)  # of an analysis, unless chains.yaml says otherwise

Say = Callable[[str], None]


def import_files(files: Sequence[str], store: str, shift_to_now: bool, say: Say) -> None:
    """Store the posts of files, as `dfpipe import` does. Raises DfpipeError."""
    from dfpipe.commands.import_report import failed, text
    from dfpipe.datastore import connect
    from dfpipe.posts import importing, scanning

    now = datetime.now(UTC)
    with importing.sources(files, sys.stdin.buffer) as archives:
        scanned = scanning.scan(archives)
        with closing(connect(store)) as client:
            shift_to = now if shift_to_now else None
            report = importing.store(
                archives, scanned, client, lambda: datetime.now(UTC), shift_to=shift_to
            )
    for line in text(report).splitlines():
        say(line)
    if scanned.failures:
        say(failed(scanned.failures))
    if scanned.newest and scanned.newest < now - WINDOW and not shift_to_now:
        say(
            f"the newest post is from {scanned.newest:%Y-%m-%d}, but an analysis covers the last "
            f"{WINDOW.days} days: to shift the posts to now, give --shift-to-now and a new --folder"
        )


def make_up(store: str, sink: str, say: Say) -> None:
    """Store a synthetic timeline up to now, and analyze it as of yesterday.

    The pages then have something to show and to compare with; back_runs.py adds earlier days.
    """
    from dfpipe import launch
    from dfpipe.datastore import connect
    from dfpipe.demo import timeline
    from dfpipe.posts import storing

    now = datetime.now(UTC).replace(microsecond=0)
    posts = timeline.timeline(now - DEMO_TIMELINE, now)
    with closing(connect(store)) as client:
        stored = storing.store(client, posts, now=now)
    say(f"stored {stored.new:,} synthetic posts covering {DEMO_TIMELINE.days} days")
    until = (now - timedelta(days=1)).isoformat()
    say(str(launch.launch([f"--store={store}", f"--sink={sink}", f"--until={until}"], {})))


def keep_pushing(url: str, token: str, say: Say, stopping: threading.Event) -> None:
    """Push posts of synthetic timelines to the collector's /ingest as their times come."""
    from dfpipe.demo import timeline
    from dfpipe.posts.formats.own import post_line

    last = datetime.now(UTC)
    while not stopping.wait(DEMO_SECONDS):
        now = datetime.now(UTC)
        posts = [post for seed in DEMO_SEEDS for post in timeline.timeline(last, now, seed)]
        lines = [post_line(post) for post in posts]
        if lines and not _push(url, token, lines):
            continue
        if lines:
            say(f"{len(lines)} posts pushed" if len(lines) > 1 else "1 post pushed")
        last = now


def _push(url: str, token: str, lines: list[bytes]) -> bool:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(url, b"".join(lines), headers)  # noqa: S310  # our own address
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bool(json.load(answer))
    except (OSError, ValueError, HTTPException):
        return False  # the collector is starting or restarting
