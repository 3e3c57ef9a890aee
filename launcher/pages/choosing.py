"""Which run a page shows, and which one it is compared with: what addresses say of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request

from dfpipe.errors import NoResultsError, UsageError
from launcher.pages.rendering import whole
from launcher.views import talk
from launcher.views.results import Results, Runs

Row = dict[str, Any]


def chosen_run(results: Results) -> Row:
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


def span() -> int:
    """The hours between a run and the one that it is compared with, at least."""
    hours = whole("since", talk.DEFAULT_SPAN)
    return hours if hours in talk.SPANS else talk.DEFAULT_SPAN


def compared_run(runs: Runs, run: Row) -> Row | None:
    """The run to compare with: that which the address names, or the newest one `span` older."""
    given = request.args.get("compare", "")
    limit = _time(given) if given else run["ts"] - timedelta(hours=span())
    found = runs.at(limit)
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
