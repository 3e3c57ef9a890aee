"""Notes on the results of queries: different settings of runs, words that no run has ranked."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from dfpipe.warehouse import Warehouse
from dfpipe.warehouse.named_queries import NamedQuery, Result, ResultRow

# The columns of `runs` on which the rankings depend.
SETTINGS = ("text_mode", "languages", "stop_words", "top_words", "top_urls", "top_pairs")
# Where a parameter's words are looked up: the query, and its columns.
KNOWN_WORDS = {
    "word": ("popular_words", ("word",)),
    "w1": ("interesting_pairs", ("w1", "w2")),
    "w2": ("interesting_pairs", ("w1", "w2")),
}


def notes_on(
    warehouse: Warehouse, query: NamedQuery, values: Mapping[str, object], result: Result
) -> list[str]:
    """Return notes on an answer to a query, each a line; `values` are those of its `bind`."""
    notes = []
    if is_blank(query, result):
        notes.append(unknown(warehouse, query, values))
    elif query.compares:
        names = different_settings(query, values, warehouse.query("latest_runs"))
        if names:
            notes.append(
                f"the runs compared were made with different settings ({', '.join(names)}): "
                "differences between them may come from that "
                "(see `dfpipe query latest_runs --format json`)"
            )
    return notes


def is_blank(query: NamedQuery, result: Result) -> bool:
    """Whether a history has rows, one a run, and no value in any of them."""
    return (
        query.compares == "all"
        and bool(result.rows)
        and not any(value is not None for row in result.rows for value in row[1:])
    )


def unknown(warehouse: Warehouse, query: NamedQuery, values: Mapping[str, Any]) -> str:
    """Say that no run has ranked what was asked for, with the nearest words of the newest run."""
    asked = {name: value for name, value in values.items() if name in KNOWN_WORDS}
    words = " and ".join(map(repr, asked.values()))
    near = [word for name, value in asked.items() for word in nearest(warehouse, name, value)]
    hint = f": did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
    return f"no run has ranked {words}{hint}"


def nearest(warehouse: Warehouse, parameter: str, word: str) -> Sequence[str]:
    """Return up to three words like this one that the newest run has ranked; none if it has it."""
    name, columns = KNOWN_WORDS[parameter]
    result = warehouse.query(name)
    places = [result.columns.index(column) for column in columns]
    known = {row[place] for row in result.rows for place in places}
    if word in known:
        return []
    return get_close_matches(unicodedata.normalize("NFKC", word).lower(), sorted(known), n=3)


def different_settings(query: NamedQuery, values: Mapping[str, object], runs: Result) -> list[str]:
    """Return the settings in which the runs differ that a query compares.

    `runs` is the answer to latest_runs.
    """
    return differing(_compared(query, values, runs.dicts()))


def differing(runs: Iterable[ResultRow]) -> list[str]:
    """Return the settings in which runs differ; what an older version did not record is left out.

    >>> run = {"settings": None, "window_end": 9, "window_start": 1, "recent_start": None}
    >>> run |= dict.fromkeys(SETTINGS)
    >>> differing([{**run, "languages": "en"}, {**run, "languages": "fr"}, run])
    ['languages']
    """
    compared = list(runs)
    names = [name for name in SETTINGS if len({run[name] for run in compared} - {None}) > 1]
    for name, start in (("days", "window_start"), ("recent", "recent_start")):
        if len({run["window_end"] - run[start] for run in compared if run[start]}) > 1:
            names.append(name)
    digests = {run["settings"] for run in compared} - {None}
    return names or (["settings"] if len(digests) > 1 else [])


def _compared(
    query: NamedQuery, values: Mapping[str, Any], runs: Sequence[ResultRow]
) -> Iterable[ResultRow]:
    """Return the runs, newest first, that a query looks at."""
    if query.compares == "all":
        return runs
    until = values["ts"]
    newest = next((run for run in runs if until is None or run["ts"] <= until), None)
    if newest is None:
        return []
    limit = newest["ts"] - timedelta(hours=values["since"])
    older = [run for run in runs if run["ts"] <= limit and run["ts"] < newest["ts"]]
    return [newest, *older]
