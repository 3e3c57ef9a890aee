"""The chains as the pages show them: read from the records, and kept when they are over."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfpipe.datastore import connect
from launcher.chains.records import JobRecord, Records
from launcher.pages import board
from launcher.pages.board import Board
from tests.support.launcher_pages import BROKEN, FAN, PLAIN, SLOT, SLOTS, put_execution, steps


class Counted(Records):
    """Records that count how often jobs are asked for."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked = 0

    def jobs(self, execution_id: str) -> list[JobRecord]:
        self.asked += 1
        return super().jobs(execution_id)


@pytest.fixture
def records(tmp_path: Path) -> Counted:
    return Counted(connect(f"sqlite:///{tmp_path / 'store.db'}"))


def test_jobs_stand_in_the_order_of_the_file(records: Counted) -> None:
    execution_id = put_execution(records, SLOT, "running", FAN)
    view = Board(records).find(execution_id)
    assert view
    assert [(job.name, job.state, job.needs) for job in view.jobs] == [
        (name, state, needs) for name, (state, needs) in FAN.items()
    ]
    assert view.may_change
    assert view.done == 2
    assert Board(records).find("nothing") is None


@pytest.mark.parametrize(("state", "expected"), [("running", "waiting"), ("failed", "skipped")])
def test_steps_that_were_not_reached_have_no_record(
    records: Counted, state: str, expected: str
) -> None:
    execution_id = put_execution(records, SLOT, state, {"first": ("failed", ())})
    execution = records.execution(execution_id)
    assert execution
    records.put_execution(replace(execution, steps=steps({"first": (), "second": ("first",)})))
    view = Board(records).find(execution_id)
    assert view
    assert [job.state for job in view.jobs] == ["failed", expected]


def test_chains_that_are_over_are_read_once(records: Counted) -> None:
    put_execution(records, SLOT - SLOTS, "failed", BROKEN)
    put_execution(records, SLOT, "running", FAN)
    found = Board(records)
    for _ in range(3):
        assert [view.state for view in found.newest(9)] == ["running", "failed"]
    assert records.asked == 4


def test_a_retried_chain_is_read_again(records: Counted) -> None:
    execution_id, found = put_execution(records, SLOT, "failed", BROKEN), Board(records)
    assert found.find(execution_id) == found.find(execution_id)
    execution = records.execution(execution_id)
    assert execution
    records.put_execution(replace(execution, attempt=2, state="succeeded"))
    view = found.find(execution_id)
    assert view
    assert (view.state, view.attempt) == ("succeeded", 2)


def test_a_chain_whose_job_still_ends_is_read_again(records: Counted) -> None:
    execution_id, found = put_execution(records, SLOT, "cancelled", FAN), Board(records)
    found.find(execution_id)
    found.find(execution_id)
    assert records.asked == 2


def test_no_more_is_kept_than_said(records: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MOST_KEPT", 1)
    found = Board(records)
    ids = [put_execution(records, SLOT - n * SLOTS, "succeeded", PLAIN) for n in range(2)]
    for execution_id in (*ids, ids[1], ids[0]):
        found.find(execution_id)
    assert records.asked == 3
