"""Which run a page shows, and which one it is compared with: what addresses say of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from flask import request

from dfpipe.errors import NoResultsError, UsageError
from dfpipe.warehouse.named_queries import ResultRow
from launcher.views import talk
from launcher.views.results import Results, Runs


def chosen_run(results: Results) -> ResultRow:
    """The run that the address names, or the newest. Raises DfpipeError."""
    runs = results.runs()
    given = request.args.get("run", "") or request.args.get("ts", "")
    run = runs.at(_time(given)) if given else runs.newest
    if run is None:
        raise NoResultsError(
            "no run is complete yet" if not given else f"no run at or before {given}"
        )
    return run


def names_run() -> bool:
    """Whether the address names a run: without one it shows the newest, whichever that is."""
    return bool(request.args.get("run") or request.args.get("ts"))


def comparison() -> str:
    """What a run is compared with, as the address says it: a run's time, or hours before it."""
    return request.args.get("compare") or request.args.get("since") or str(talk.DEFAULT_SPAN)


def span() -> int:
    """The hours between a run and those that its pairs are compared with, at least."""
    given = comparison()
    return int(given) if given in map(str, talk.SPANS) else talk.DEFAULT_SPAN


def compared_run(runs: Runs, run: ResultRow) -> ResultRow | None:
    """The run to compare with: that of a time, or the newest one that is so many hours older."""
    given = comparison()
    hours = given.isascii() and given.isdigit()
    found = runs.at(run["ts"] - timedelta(hours=span()) if hours else _time(given))
    return found if found and found["ts"] != run["ts"] else None


def chosen(name: str, among: Mapping[str, object]) -> str:
    """One of several values in the address, or the first of them."""
    given = request.args.get(name, "")
    return given if given in among else next(iter(among))


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(f"the run is {text[:40]!r}: expected a time like 2015-01-11T00:00:00Z")
