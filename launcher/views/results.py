"""What the analysis found, read from the warehouse and kept for as long as it stays true."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dfpipe.errors import DfpipeError, NoResultsError
from dfpipe.warehouse.named_queries import Result, ResultRow

FRESH_SECONDS = 5.0  # how old the list of runs may be
KEPT_SECONDS = 900.0  # how old an answer may be at most, in case a person has changed rows
MOST_KEPT = 64  # answers; those of a whole run take about a megabyte each
# The name of a query and its parameters.
Question = tuple[str, Mapping[str, object]]
Key = tuple[int | None, str, tuple[tuple[str, object], ...]]


class Answers(Protocol):
    """The part of a warehouse that is used here."""

    def query(self, name: str, **params: object) -> Result:
        """Answer a named query."""

    def reading(self) -> AbstractContextManager[None]:
        """Within this, several queries cost less."""


class NoWarehouse:
    """Used if no warehouse is set."""

    def query(self, name: str, **params: object) -> Result:
        """Raise NoResultsError, which says what to do."""
        raise NoResultsError("no warehouse: set DFPIPE_SINK to the value of --sink in your jobs")

    def reading(self) -> AbstractContextManager[None]:
        """Do nothing: there is nothing to open."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Runs:
    """The complete runs, newest first, as columns by name. `marks` tells versions apart.

    The mark of a run changes when it or an older one is replaced, as the answers about it may.
    """

    rows: tuple[ResultRow, ...]
    marks: dict[datetime, int]

    @property
    def newest(self) -> ResultRow | None:
        """The newest run, if there is one."""
        return self.rows[0] if self.rows else None

    def at(self, moment: datetime) -> ResultRow | None:
        """The newest run at or before a time."""
        return next((row for row in self.rows if row["ts"] <= moment), None)

    def around(self, run: ResultRow) -> tuple[ResultRow | None, ResultRow | None]:
        """The run before one of these, and the one after it."""
        place = self.rows.index(run)
        older = self.rows[place + 1] if place + 1 < len(self.rows) else None
        return older, self.rows[place - 1] if place else None

    def near(self, run: ResultRow, number: int) -> tuple[ResultRow, ...]:
        """A run with those before and after it, so many in all, newest first."""
        place = self.rows.index(run)
        start = max(0, min(place - number // 2, len(self.rows) - number))
        return self.rows[start : start + number]


def runs_of(result: Result) -> Runs:
    """The runs of an answer to `latest_runs`."""
    rows = result.dicts()
    marks, mark = {}, 0
    for row, values in zip(reversed(rows), reversed(result.rows), strict=True):
        mark = hash((mark, values))
        marks[row["ts"]] = mark
    return Runs(tuple(rows), marks)


class Results:
    """The answers of one warehouse; safe for threads.

    The list of runs is read again when it is older than FRESH_SECONDS. Answers about a run are
    kept until one of the runs that they are made of is replaced, and for KEPT_SECONDS at most.
    """

    def __init__(self, warehouse: Answers, clock: Callable[[], float] = time.monotonic) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: tuple[float, Runs] | None = None
        self._kept: OrderedDict[Key, tuple[float, Result]] = OrderedDict()

    def runs(self) -> Runs:
        """The complete runs. Raises DfpipeError if they were never read."""
        kept = self._runs
        if kept and self._clock() - kept[0] < FRESH_SECONDS:
            return kept[1]
        try:
            runs = runs_of(self._warehouse.query("latest_runs"))
        except DfpipeError:
            # While a job writes a DuckDB file, no other process can read it.
            if kept is None:
                raise
            runs = kept[1]
        self._runs = self._clock(), runs
        return runs

    def about(self, run: ResultRow, asked: Iterable[Question]) -> list[Result]:
        """The answers to questions as of a run, in their order. Raises DfpipeError."""
        mark = self.runs().marks.get(run["ts"])
        return self._answers([(mark, name, {**params, "ts": run["ts"]}) for name, params in asked])

    def history(self, name: str, params: Mapping[str, object]) -> Result:
        """The answer to a question over all runs. Raises DfpipeError."""
        runs = self.runs()
        mark = runs.marks[runs.newest["ts"]] if runs.newest else None
        return self._answers([(mark, name, dict(params))])[0]

    def _answers(self, asked: Sequence[tuple[int | None, str, dict[str, object]]]) -> list[Result]:
        keys = [(mark, name, tuple(sorted(params.items()))) for mark, name, params in asked]
        found = {key: self._kept_answer(key) for key in keys}
        missing = [(key, each) for key, each in zip(keys, asked, strict=True) if not found[key]]
        with self._warehouse.reading() if missing else nullcontext():
            for key, (_, name, params) in missing:
                found[key] = self._keep(key, self._warehouse.query(name, **params))
        return [answer for key in keys if (answer := found[key])]

    def _kept_answer(self, key: Key) -> Result | None:
        with self._lock:
            until, answer = self._kept.get(key, (0.0, None))
            if answer is None or until <= self._clock():
                return None
            self._kept.move_to_end(key)
            return answer

    def _keep(self, key: Key, answer: Result) -> Result:
        with self._lock:
            self._kept[key] = self._clock() + KEPT_SECONDS, answer
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return answer
