"""What the launcher's pages show in tests: a warehouse of a made-up timeline, and chains."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dfpipe import warehouse
from dfpipe.datastore import connect
from dfpipe.warehouse.tables import (
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
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
STORY = (
    "harbour", "storm", "ferry", "cancelled", "wind", "port", "warning", "boats", "coast",
    "election", "vote", "count", "recount", "council", "bakery", "bread", "oven", "café",
    "comet", "telescope", "night", "sky", "tail", "visible", "league", "final", "penalty",
)  # fmt: skip


def a_run(ts: datetime, seconds: float = 3.5) -> Run:
    """The row of an execution."""
    start = ts - timedelta(days=4)
    return Run(ts, start, ts, 1000, 2, 5000, 300, "modern", "FnApiRunner", "0.1.0", seconds)


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
    warehouse.connect(url).replace_run(
        a_run(ts, 3.5 + len(words)), {WORD_COUNTS: counts, URLS: urls, WORD_COOCCUR: pairs}
    )


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
