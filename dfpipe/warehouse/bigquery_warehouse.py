"""A warehouse in a BigQuery dataset: load jobs into staging tables, then one transaction."""

import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    GoogleAPICallError,
    NotFound,
    RetryError,
)
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY
from requests.exceptions import RequestException

from dfpipe.errors import DfpipeError, UsageError
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.named_queries import NamedQuery, Result
from dfpipe.warehouse.schema import columns_to_add, not_a_table, unreadable
from dfpipe.warehouse.tables import (
    TABLES,
    Column,
    Row,
    Run,
    Table,
    TableRows,
    in_writing_order,
)

# Seconds. The client's own retry takes ten minutes, even if nobody answers.
CALL_SECONDS, JOB_SECONDS = 30.0, 600.0
RETRY = DEFAULT_RETRY.with_timeout(CALL_SECONDS)
# BigQuery aborts a transaction if another writer was first; then it is retried.
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 20, 0.5, 10.0
STAGING_LIFE = timedelta(hours=6)  # of tables that a killed writer leaves
LEGACY_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64"}  # what the API calls them


def from_url(url: str) -> "BigQueryWarehouse":
    """Return the warehouse of `bigquery://PROJECT/DATASET?location=L`. Raises UsageError."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"the warehouse {url!r} does not name a dataset: {error}") from error
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    location = options.pop("location", None)
    dataset = parts.path.removeprefix("/")
    if not parts.netloc or not re.fullmatch(r"\w+", dataset, re.ASCII) or options:
        raise UsageError(
            f"the warehouse {url!r} does not name a dataset: give bigquery://PROJECT/DATASET, with "
            "?location=L to create it outside of the US"
        )
    return BigQueryWarehouse(parts.netloc, dataset, location)


class BigQueryWarehouse:
    """The result tables in one dataset, or in an emulator that BIGQUERY_EMULATOR_HOST names."""

    def __init__(
        self,
        project: str,
        dataset: str,
        location: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.dataset = bigquery.DatasetReference(project, dataset)
        self.location = location
        self._clock = clock
        self._sleep = sleep

    def prepare(self) -> None:
        """Create the dataset and what its tables lack, and check that they can be written."""
        with self._errors():
            self._create()
            for table in TABLES:
                self._query(_delete_sql(table, "FALSE"), dry_run=True)

    def replace_run(self, run: Run, rows: TableRows) -> None:
        """Replace all rows of `run.ts` in one transaction.

        A writer that is killed leaves staging tables, which expire.
        """
        tables = in_writing_order(run, rows)
        bodies = {table: _json_lines(given) for table, given in tables if given}
        name = f"staging_{run.ts:%Y%m%dT%H%M%S}_{_digest(self.dataset, bodies.values())}"
        with self._errors():
            self._create()
            for attempt in range(ATTEMPTS):
                try:
                    self._replace(run.ts, bodies, f"{name}_{attempt}")
                    break
                except GoogleAPICallError as error:
                    if attempt == ATTEMPTS - 1 or not _lost_to_another(error):
                        raise
                self._sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))

    def query(self, name: str, **params: object) -> Result:
        """Answer a named query without creating anything."""
        query = named_queries.load(name)
        values = query.bind(params)
        with self._errors():
            try:
                job = self._query(named_queries.sql(name), _parameters(query, values))
                rows = job.result(retry=RETRY, timeout=JOB_SECONDS, job_retry=None)
            except (NotFound, BadRequest) as error:
                raise self._unreadable() or error from error
            return Result.of((field.name for field in rows.schema), (row.values() for row in rows))

    def reading(self) -> AbstractContextManager[None]:
        """Do nothing: several queries cost no less together."""
        return nullcontext()

    @cached_property
    def _client(self) -> Any:
        # The search for credentials can take half a minute; an emulator needs none.
        emulated = bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))
        credentials = AnonymousCredentials() if emulated else None
        return bigquery.Client(self.dataset.project, credentials, location=self.location)

    @property
    def _url(self) -> str:
        location = f"?location={self.location}" if self.location else ""
        return f"bigquery://{self.dataset.project}/{self.dataset.dataset_id}{location}"

    def _create(self) -> None:
        """Create what is missing; an existing dataset needs no permission to create datasets."""
        try:
            self._check_location(self._client.get_dataset(self.dataset, retry=RETRY))
        except NotFound:
            self._client.create_dataset(self.dataset, exists_ok=True, retry=RETRY)
        for table in TABLES:
            wanted = self._wanted(table)
            found = self._find(table)
            if found is None:
                found = self._client.create_table(wanted, exists_ok=True, retry=RETRY)
            if found.table_type not in (None, "TABLE"):
                raise not_a_table(str(self.dataset), table, found.table_type)
            for name, column in columns_to_add(str(self.dataset), table, _columns(found)).items():
                self._add_column(table, name, column)

    def _add_column(self, table: Table, name: str, column: Column) -> None:
        # Retried, which is safe here, because BigQuery limits the rate of changes to a table.
        sql = f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS {name} {column.kind}"
        job = self._query(sql, job_retry=DEFAULT_JOB_RETRY)
        job.result(retry=RETRY, timeout=JOB_SECONDS)

    def _find(self, table: Table) -> bigquery.Table | None:
        try:
            return self._client.get_table(self.dataset.table(table.name), retry=RETRY)
        except NotFound:
            return None

    def _check_location(self, found: bigquery.Dataset) -> None:
        """Raise DfpipeError if the dataset is not where the URL says: jobs do not find it."""
        if self.location and found.location and self.location.lower() != found.location.lower():
            raise DfpipeError(
                f"the dataset {self.dataset} is in {found.location}, not in {self.location}: give "
                f"?location={found.location}, or leave the location out"
            )

    def _unreadable(self) -> DfpipeError | None:
        """Return why a query failed; None if the dataset and its tables are as expected."""
        try:
            self._check_location(self._client.get_dataset(self.dataset, retry=RETRY))
        except NotFound:
            return unreadable(str(self.dataset), self._url, {})
        found = {table.name: self._find(table) for table in TABLES}
        columns = {name: _columns(table) for name, table in found.items() if table}
        return unreadable(str(self.dataset), self._url, columns)

    def _wanted(self, table: Table) -> bigquery.Table:
        wanted = bigquery.Table(self.dataset.table(table.name), _schema(table))
        wanted.time_partitioning = bigquery.TimePartitioning(field="ts")
        wanted.clustering_fields = table.clustered_by or None
        return wanted

    def _staging(self, table: Table, name: str) -> bigquery.Table:
        staging = bigquery.Table(self.dataset.table(f"{name}_{table.name}"), _schema(table))
        staging.expires = self._clock() + STAGING_LIFE
        return staging

    def _replace(self, ts: datetime, bodies: Mapping[Table, bytes], name: str) -> None:
        """Load and swap. Raises Conflict if the name was used before: a job's id works once."""
        staged: dict[Table, bigquery.Table] = {}
        try:
            for table in bodies:
                wanted = self._staging(table, name)
                staged[table] = self._client.create_table(wanted, retry=RETRY)
            loads = [self._load(staged[table], body) for table, body in bodies.items()]
            for load in loads:
                load.result(retry=RETRY, timeout=JOB_SECONDS)
            swap = self._query(_swap_sql(ts, {t: table.table_id for t, table in staged.items()}))
            swap.result(retry=RETRY, timeout=JOB_SECONDS, job_retry=None)
        finally:
            for table in staged.values():
                self._client.delete_table(table, not_found_ok=True, retry=RETRY)

    def _load(self, staging: bigquery.Table, body: bytes) -> Any:
        config = bigquery.LoadJobConfig(
            schema=staging.schema,
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_EMPTY,
        )
        return self._client.load_table_from_file(
            io.BytesIO(body),
            staging.reference,
            job_id=f"dfpipe_{self.dataset.dataset_id}_{staging.table_id}",
            job_config=config,
            timeout=CALL_SECONDS,
        )

    def _query(
        self,
        sql: str,
        parameters: Sequence[object] = (),
        dry_run: bool = False,
        job_retry: Retry | None = None,
    ) -> Any:
        config = bigquery.QueryJobConfig(
            default_dataset=self.dataset, query_parameters=parameters, dry_run=dry_run
        )
        return self._client.query(
            sql, config, retry=RETRY, timeout=CALL_SECONDS, job_retry=job_retry
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the client into DfpipeErrors of one line."""
        try:
            yield
        except GoogleAuthError as error:
            raise DfpipeError(
                f"{self.dataset}: no access to Google Cloud: run `gcloud auth "
                f"application-default login` ({_first_line(error)})"
            ) from error
        except (GoogleAPICallError, RetryError, RequestException, TimeoutError) as error:
            raise DfpipeError(f"{self.dataset}: {_first_line(error)}") from error


def _schema(table: Table) -> list[bigquery.SchemaField]:
    return [
        bigquery.SchemaField(name, column.kind, "NULLABLE" if column.nullable else "REQUIRED")
        for name, column in table.columns.items()
    ]


def _columns(table: bigquery.Table) -> dict[str, Column]:
    return {field.name: _column(field) for field in table.schema}


def _column(field: bigquery.SchemaField) -> Column:
    kind = LEGACY_TYPES.get(field.field_type, field.field_type)
    if field.mode == "REPEATED":
        return Column(f"ARRAY<{kind}>", nullable=True)
    return Column(kind, nullable=field.mode != "REQUIRED")


def _json_lines(rows: Sequence[Row]) -> bytes:
    """Return the rows as BigQuery loads them; floats keep every bit."""
    lines = (json.dumps(asdict(row), default=_rfc3339, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _digest(dataset: bigquery.DatasetReference, bodies: Iterable[bytes]) -> str:
    digest = hashlib.sha256(dataset.path.encode())
    for body in bodies:
        digest.update(body)
    return digest.hexdigest()[:16]


def _delete_sql(table: Table, condition: str) -> str:
    return f"DELETE FROM {table.name} WHERE {condition}"  # noqa: S608 - a name of ours


def _swap_sql(ts: datetime, staging: Mapping[Table, str]) -> str:
    """Return the transaction; `ts` is a literal so that BigQuery prunes partitions."""
    statements = ["BEGIN TRANSACTION"]
    for table in TABLES:
        statements.append(_delete_sql(table, f"ts = TIMESTAMP '{_rfc3339(ts)}'"))
        if table in staging:
            columns = ", ".join(table.columns)
            statements.append(
                f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {staging[table]}"  # noqa: S608 - names of ours
            )
    return ";\n".join([*statements, "COMMIT TRANSACTION;"])


def _parameters(query: NamedQuery, values: Mapping[str, object]) -> list[object]:
    return [
        bigquery.ScalarQueryParameter(parameter.name, parameter.kind, values[parameter.name])
        for parameter in query.parameters
    ]


def _lost_to_another(error: GoogleAPICallError) -> bool:
    """Whether another writer was first, with a job's name or a transaction."""
    return isinstance(error, Conflict) or "concurrent update" in str(error)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
