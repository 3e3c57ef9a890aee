"""Compares the tables of a warehouse with those that this version writes and reads."""

from collections.abc import Mapping

from dfpipe.errors import DfpipeError, NoResultsError
from dfpipe.warehouse.tables import RUNS, TABLES, Column, Table

Columns = Mapping[str, Column]


def columns_to_add(place: str, table: Table, found: Columns) -> dict[str, Column]:
    """Return the columns that a table from an older version lacks.

    Columns may be in any order. Others are left alone if they may be NULL, so that versions can
    share a warehouse. Raises DfpipeError if the table cannot hold this version's rows.
    """
    faults = [fault for name in table.columns if (fault := _fault(name, table, found))]
    faults += [
        f"{name} is required, but dfpipe does not write it"
        for name, column in found.items()
        if name not in table.columns and not column.nullable
    ]
    if faults:
        raise DfpipeError(
            f"{place}: cannot write to table {table.name}: {'; '.join(faults)}: rename or drop "
            "the table, or give another --sink"
        )
    return {name: column for name, column in table.columns.items() if name not in found}


def _fault(name: str, table: Table, found: Columns) -> str | None:
    wanted = table.columns[name]
    if name in found:
        kind = found[name].kind
        return None if kind == wanted.kind else f"{name} is {kind}, not {wanted.kind}"
    return None if wanted.nullable else f"it has no column {name} ({wanted.kind})"


def not_a_table(place: str, table: Table, kind: str) -> DfpipeError:
    """Return the error for a view, or something similar, with the name of a table."""
    return DfpipeError(
        f"{place}: {table.name} is a {kind.lower()}, not a table: rename or drop it, or give "
        "another --sink"
    )


def unreadable(place: str, url: str, found: Mapping[str, Columns]) -> NoResultsError | None:
    """Return why a query of these tables failed; None if all tables are as expected."""
    writing = f"write a run to it with `dfpipe run --sink {url}`"
    if RUNS.name not in found:
        return NoResultsError(f"{place} holds no results: {writing}, or correct the name")
    if any(table.columns.keys() - found.get(table.name, {}).keys() for table in TABLES):
        return NoResultsError(
            f"{place} was written by an older version and lacks what this query reads: {writing}, "
            "which adds it and keeps the rows"
        )
    return None
