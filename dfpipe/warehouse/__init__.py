"""Where results are written and queried: DuckDB or BigQuery, behind the same methods."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from dfpipe.errors import UsageError
from dfpipe.warehouse.named_queries import Result
from dfpipe.warehouse.tables import Run, TableRows


class Warehouse(Protocol):
    """The result tables of many runs. Every method raises DfpipeError."""

    def prepare(self) -> None:
        """Make sure that a run can be written.

        Creates missing tables and columns, and refuses tables that do not fit.
        """

    def replace_run(self, run: Run, rows: TableRows) -> None:
        """Replace all rows of `run.ts`, whole or not at all, and touch no others.

        It may be repeated, killed at any moment, and called by several processes at once.
        """

    def query(self, name: str, **params: object) -> Result:
        """Answer a named query (dfpipe/warehouse/queries) from the runs that are complete.

        Parameters may be given as text. Nothing is created.
        """

    def reading(self) -> AbstractContextManager[None]:
        """Make several queries cheaper within the block; others may not be able to write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of warehouse.

    Its module has `from_url(url) -> Warehouse` and is imported when it is needed: a worker installs
    only the library of the warehouse that it writes to.
    """

    module: str
    form: str  # of its URLs
    dialect: str  # of its SQL, by sqlglot's name
    is_local: bool = False  # a file, which other machines cannot reach


KINDS = {
    "duckdb": Kind("dfpipe.warehouse.duckdb_warehouse", "duckdb:///FILE", "duckdb", is_local=True),
    "bigquery": Kind(
        "dfpipe.warehouse.bigquery_warehouse",
        "bigquery://PROJECT/DATASET?location=L",
        "bigquery",
    ),
}
FORMS = " or ".join(kind.form for kind in KINDS.values())


def kind_of(url: str) -> Kind:
    """Return the kind of a warehouse by the scheme of its URL. Raises UsageError."""
    kind = KINDS.get(url.partition("://")[0])
    if kind is None:
        raise UsageError(f"{url!r} is not the URL of a warehouse: give {FORMS}")
    return kind


def connect(url: str) -> Warehouse:
    """Return the warehouse of a URL; nothing is opened yet.

    `duckdb:///relative.duckdb`, `duckdb:////absolute.duckdb` or
    `bigquery://PROJECT/DATASET?location=L`. Raises UsageError for any other form.
    """
    return cast(Warehouse, import_module(kind_of(url).module).from_url(url))
