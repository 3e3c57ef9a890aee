"""Where results go and are asked for: DuckDB or BigQuery behind the same methods."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dfpipe.errors import UsageError
from dfpipe.warehouse.named_queries import Result
from dfpipe.warehouse.tables import Run, UrlCount, WordCooccur, WordCount

FORMS = "duckdb:///FILE or bigquery://PROJECT/DATASET?location=L"


class Warehouse(Protocol):
    """The result tables of many runs. Every method raises DfpipeError."""

    def prepare(self) -> None:
        """Make sure that a run can be written: create what is absent, refuse what is not ours."""

    def replace_run(
        self,
        run: Run,
        words: Sequence[WordCount],
        urls: Sequence[UrlCount],
        pairs: Sequence[WordCooccur],
    ) -> None:
        """Replace all rows of `run.ts`, whole or not at all, and touch no others.

        It may be repeated, killed at any moment, and called by several processes at once.
        """

    def query(self, name: str, **params: object) -> Result:
        """Answer a named query (dfpipe/warehouse/queries) from the runs that are complete.

        A parameter's value may be a text. Nothing is created.
        """

    def reading(self) -> AbstractContextManager[None]:
        """Within this, several queries cost less; nobody else may write meanwhile."""


def connect(url: str) -> Warehouse:
    """Return the warehouse of a URL; nothing is opened yet.

    `duckdb:///relative.duckdb`, `duckdb:////absolute.duckdb` or
    `bigquery://PROJECT/DATASET?location=L`. Raises UsageError for any other form.
    """
    scheme = url.partition("://")[0]
    # A worker installs only the library of the warehouse that it writes to.
    if scheme == "duckdb":
        from dfpipe.warehouse import duckdb_warehouse

        return duckdb_warehouse.from_url(url)
    if scheme == "bigquery":
        from dfpipe.warehouse import bigquery_warehouse

        return bigquery_warehouse.from_url(url)
    raise UsageError(f"the warehouse {url!r} has no known form: give {FORMS}")
