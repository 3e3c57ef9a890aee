"""What the launcher's pages show in tests: a warehouse of a made-up timeline, and chains."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dfpipe import warehouse
from dfpipe.datastore import connect
from dfpipe.posts.post import Post, to_entity
from dfpipe.warehouse import tables
from dfpipe.warehouse.tables import (
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    TableRows,
    UrlCount,
    WordCooccur,
    WordCount,
)
from launcher.chains.chains import Step
from launcher.chains.records import ExecutionRecord, JobRecord, Records
from launcher.jobs import JobState
from launcher.settings import LauncherSettings
from service.auth import AuthSettings
from tests.support.processes import ROOT

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)
SLOT = datetime(2026, 1, 7, 10, tzinfo=UTC)
SLOTS = timedelta(hours=5)
STORIES = 5  # of a run
STORY = (
    "harbour", "storm", "ferry", "cancelled", "wind", "port", "warning", "boats", "coast",
    "election", "vote", "count", "recount", "council", "bakery", "bread", "oven", "café",
    "comet", "telescope", "night", "sky", "tail", "visible", "league", "final", "penalty",
)  # fmt: skip


def a_run(ts: datetime, seconds: float = 3.5, **changes: Any) -> Run:
    """The row of an execution."""
    start = ts - timedelta(days=4)
    made = Run(
        *(ts, start, ts, 1000, 2, 5000, 300, "modern", "FnApiRunner", "0.1.0", seconds),
        recent_start=ts - timedelta(days=1),
        recent=250,
    )
    return replace(made, **changes)


def fill(
    url: str,
    ts: datetime,
    words: Sequence[str] = STORY,
    links: Sequence[str] = (),
    turn: int = 0,
) -> None:
    """Write an execution; another `turn` ranks the same words in another order."""
    turned = [*words[turn % len(words) :], *words[: turn % len(words)]]
    counts = [
        WordCount(ts, place, word, 400 // place + 3, (400 // place + 3) / 10)
        for place, word in enumerate(turned, 1)
    ]
    links = links or [f"https://news{n % 3}.example/story/{n}?page={turn}" for n in range(20)]
    urls = [UrlCount(ts, place, link, 90 // place + 1) for place, link in enumerate(links, 1)]
    couples = [sorted(pair) for pair in itertools.pairwise(turned)]
    pairs = [
        WordCooccur(ts, place, first, second, 60 // place + 2, 321.5 / place)
        for place, (first, second) in enumerate(couples, 1)
    ]
    rows = {WORD_COUNTS: counts, URLS: urls, WORD_COOCCUR: pairs}
    warehouse.connect(url).replace_run(
        a_run(ts, 3.5 + len(words)), {**rows, **story_rows(ts, turned, links)}
    )


def story_rows(ts: datetime, words: Sequence[str], links: Sequence[str]) -> TableRows:
    """The rows of what rises in a run and of its stories, of three words each.

    The first two stories rise; posts of their ids may be in the store: 100, 101 and so on.
    """
    rows: dict[tables.Table, list[Any]] = {
        table: []
        for table in (tables.STORIES, tables.STORY_POSTS, tables.STORY_URLS, tables.STORY_TIMELINE)
    }
    hours = [ts - timedelta(hours=n) for n in range(90, 0, -6)]
    for rank, some in enumerate(zip(*[iter(words[: 3 * STORIES])] * 3, strict=False), 1):
        w1, w2 = sorted(some[:2])
        recent, before = (30, 3 * rank) if rank < 3 else (3, 40 - rank)
        rises = (70.5 / rank, 0.0001) if rank < 3 else (-3.5, 1.0)
        rows[tables.STORIES].append(
            tables.StoryRow(
                *(ts, rank, w1, w2, " ".join(some), recent + before, 9 + rank, recent, before),
                *(*rises, 2, hours[0], hours[-1]),
            )
        )
        for i in (1, 2):
            rows[tables.STORY_POSTS].append(tables.StoryPost(ts, rank, i, 99 + rank, 9 - i))
        rows[tables.STORY_URLS].append(
            tables.StoryUrl(ts, rank, 1, links[rank % len(links)], 5 + rank)
        )
        rows[tables.STORY_TIMELINE] += [
            tables.StoryPart(ts, rank, hour, 1 + (rank * place) % 7)
            for place, hour in enumerate(hours)
        ]
    return {
        **rows,
        tables.TIMELINE: [tables.TimelinePart(ts, hour, 50 + hour.hour) for hour in hours],
        tables.RISING_WORDS: [
            tables.RisingWord(ts, i, word, 30, i, 12.0, i / 7.5, 50.5 / i, 0.001)
            for i, word in enumerate(words[:6], 1)
        ],
        tables.RISING_PAIRS: [tables.RisingPair(ts, 1, *sorted(words[:2]), 20, 0, 60.5, 0.001)],
    }


def put_posts(
    url: str,
    texts: Sequence[str],
    user: str = "anna",
    time: datetime = SLOT,
    urls: tuple[str, ...] = (),
) -> None:
    """Store posts with the ids of the examples: 100, 101 and so on."""
    client = connect(url)
    posts = [Post(100 + i, user, text, time, urls) for i, text in enumerate(texts)]
    client.put_multi([to_entity(post, client, SLOT) for post in posts])


def make_warehouse(folder: Path, runs: int = 12) -> str:
    """A warehouse with so many executions, the newest of SLOT; returns its URL."""
    url = f"duckdb:///{folder / 'results.duckdb'}"
    for number in range(runs):
        fill(url, SLOT - number * SLOTS, turn=number // 3)
    return url


def steps(needs: dict[str, tuple[str, ...]]) -> tuple[Step, ...]:
    """Local steps by what each needs."""
    return tuple(
        Step(name=name, kind="local", command=("true",), needs=before)
        for name, before in needs.items()
    )


def put_execution(
    records: Records,
    slot: datetime,
    state: str,
    jobs: dict[str, tuple[str, tuple[str, ...]]],
    error: str = "",
) -> str:
    """Store an execution whose steps have these states and needs; returns its id."""
    execution_id = f"analysis-{slot:%Y%m%dt%H%M%S}"
    is_over = state not in ("waiting", "running")
    records.put_execution(
        ExecutionRecord(
            id=execution_id,
            chain="analysis",
            slot=slot,
            state=state,
            created=slot,
            started=slot + timedelta(seconds=2),
            ended=slot + timedelta(minutes=14) if is_over else None,
            error=error,
            steps=steps({name: needs for name, (_, needs) in jobs.items()}),
        )
    )
    for name, (job_state, _) in jobs.items():
        _put_job(records, execution_id, name, job_state, slot, error)
    return execution_id


def _put_job(
    records: Records, execution_id: str, step: str, state: str, slot: datetime, error: str
) -> None:
    has_begun = state not in ("waiting", "skipped")
    is_over = state != "skipped" and JobState(state).is_over
    records.put_job(
        JobRecord(
            id=f"{execution_id}/{step}",
            execution=execution_id,
            step=step,
            kind="local",
            state=state,
            name=f"{execution_id}-{step}-1",
            job_id=f"pid-{len(step)}0{len(execution_id)}" if has_begun else "",
            started=slot + timedelta(seconds=3) if has_begun else None,
            ended=slot + timedelta(minutes=12) if is_over else None,
            error=error if state == "failed" else "",
            log_link=f"/jobs/{execution_id}/{step}.log" if has_begun else "",
        )
    )


FAN = {
    "extract": ("succeeded", ()),
    "words": ("succeeded", ("extract",)),
    "links": ("running", ("extract",)),
    "pairs-of-telling-words-and-more": ("failed", ("extract",)),
    "languages": ("drained", ("extract",)),
    "check": ("waiting", ("words", "links", "pairs-of-telling-words-and-more")),
    "notify": ("waiting", ("check", "languages")),
    "archive": ("waiting", ("check",)),
}  # fmt: skip
PLAIN = {
    "analyse": ("succeeded", ()),
    "check": ("succeeded", ("analyse",)),
    "emerging": ("succeeded", ("check",)),
}  # fmt: skip
BROKEN = {
    "analyse": ("failed", ()),
    "check": ("skipped", ("analyse",)),
    "emerging": ("skipped", ("check",)),
}  # fmt: skip


def settings_in(folder: Path, **changes: Any) -> LauncherSettings:
    """Settings of a launcher whose files are in a folder, with the chains of this project."""
    return LauncherSettings(
        **{
            "store": f"sqlite:///{folder / 'store.db'}",
            "queue_yaml": str(ROOT / "queue.yaml"),
            "chains_yaml": str(ROOT / "chains.yaml"),
            "jobs_folder": str(folder / "jobs"),
            "warehouse": f"duckdb:///{folder / 'results.duckdb'}",
            "auth": AuthSettings(page_access="loopback"),
            **changes,
        }
    )


def records_of(settings: LauncherSettings) -> Records:
    """The records of a launcher with such settings."""
    return Records(connect(settings.store))
