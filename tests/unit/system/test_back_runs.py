"""The demo's runs of earlier days."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dfpipe import warehouse
from system import back_runs
from system.back_runs import DAY, DAYS, missing

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)


def test_a_day_has_a_run_once() -> None:
    assert len(list(missing(NOW, []))) == DAYS
    assert next(missing(NOW, [])) == NOW - DAY
    known = [NOW - DAY, NOW - 3 * DAY + timedelta(hours=6)]
    assert list(missing(NOW, known))[:2] == [NOW - 2 * DAY, NOW - 4 * DAY]
    assert list(missing(NOW + timedelta(hours=5), list(missing(NOW, [])))) == []


def test_runs_are_made_and_not_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, sink = f"sqlite:///{tmp_path}/p.db", f"duckdb:///{tmp_path}/r.duckdb"
    monkeypatch.setattr(back_runs, "DAYS", 2)
    monkeypatch.setattr(os, "nice", lambda increment: increment)
    for _ in range(2):
        back_runs.main([store, sink, NOW.isoformat()])
    runs = warehouse.connect(sink).query("latest_runs").rows
    assert [row[0] for row in runs] == [NOW - DAY, NOW - 2 * DAY]
    assert all(row[3] > 3000 for row in runs)
