"""What is BigQuery's own: how tables are made, staging, names used before, lost transactions."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery

from dfpipe.errors import DfpipeError
from dfpipe.warehouse import bigquery_warehouse
from dfpipe.warehouse.bigquery_warehouse import STAGING_LIFE, BigQueryWarehouse
from dfpipe.warehouse.tables import TABLES, WORD_COUNTS
from tests.support.warehouses import (
    DATASETS,
    TS,
    a_run,
    expected,
    some_rows,
    stored,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def client(bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    with bigquery.Client("own", AnonymousCredentials()) as client:
        yield client


@pytest.fixture
def dataset() -> str:
    return f"results{next(DATASETS)}"


class Recorded(BigQueryWarehouse):
    """Keeps the staging tables that were made, and can lose transactions to another writer."""

    lost = 0

    def __init__(self, dataset: str, lost: int = 0, location: str = "EU") -> None:
        self.pauses: list[float] = []
        self.staged: list[bigquery.Table] = []
        self.lost = lost
        super().__init__("own", dataset, location, clock=lambda: NOW, sleep=self.pauses.append)

    def _load(self, staging: bigquery.Table, body: bytes) -> Any:
        self.staged.append(staging)
        return super()._load(staging, body)

    def _query(self, sql: str, *rest: Any, **options: Any) -> Any:
        if self.location == "US":  # the emulator runs a job wherever its data is
            raise NotFound(f"Dataset {self.dataset} was not found in location US")
        if sql.startswith("BEGIN") and self.lost:
            self.lost -= 1
            raise BadRequest("Transaction is aborted due to concurrent update against table runs")
        return super()._query(sql, *rest, **options)


def test_the_tables_are_as_specified(client: bigquery.Client, dataset: str) -> None:
    Recorded(dataset).prepare()

    assert client.get_dataset(dataset).location == "EU"
    for table in TABLES:
        made = client.get_table(f"own.{dataset}.{table.name}")
        fields = [(field.name, field.field_type, field.mode) for field in made.schema]
        assert fields == [
            (name, column.kind, "NULLABLE" if column.nullable else "REQUIRED")
            for name, column in table.columns.items()
        ]
        assert (made.time_partitioning.type_, made.time_partitioning.field) == ("DAY", "ts")
        assert tuple(made.clustering_fields or ()) == table.clustered_by


def test_staging_is_named_by_its_rows_and_gone_in_the_end(
    client: bigquery.Client, dataset: str
) -> None:
    writers = [Recorded(dataset) for _ in range(3)]
    for writer, n in zip(writers, (2, 2, 3), strict=True):
        writer.replace_run(a_run(), some_rows(TS, "a", n))

    names = [[table.table_id for table in writer.staged] for writer in writers]
    assert names[0] == names[1]
    assert names[0][0].startswith("staging_20150111T000000_")
    written = [*(table.name for table in some_rows(TS, "a", 1)), "runs"]
    assert [name.split("_0_")[1] for name in names[0]] == written
    assert not set(names[0]) & set(names[2])
    left = {table.table_id for table in client.list_tables(dataset)}
    assert left == {table.name for table in TABLES}


def test_staging_that_a_killed_writer_leaves_expires(dataset: str) -> None:
    # The emulator forgets the time, so what is sent is looked at.
    sent = Recorded(dataset)._staging(TABLES[0], "staging").to_api_repr()
    assert int(sent["expirationTime"]) == (NOW + STAGING_LIFE).timestamp() * 1000


def test_a_name_that_was_used_before_is_not_used_again(
    client: bigquery.Client, dataset: str
) -> None:
    first, again = Recorded(dataset), Recorded(dataset)
    first.replace_run(a_run(), some_rows(TS, "a", 2))
    killed = first.staged[1].reference
    client.create_table(bigquery.Table(killed, first.staged[1].schema))

    again.replace_run(a_run(), some_rows(TS, "a", 2))

    assert [table.table_id.split("_")[3] for table in again.staged] == ["1"] * 4
    assert stored(f"bigquery://own/{dataset}") == expected(a_run(), some_rows(TS, "a", 2))
    assert client.get_table(killed), "another writer's table is not ours to delete"


@pytest.mark.usefixtures("client")
def test_a_lost_transaction_is_tried_again(dataset: str) -> None:
    writer = Recorded(dataset, lost=3)
    writer.replace_run(a_run(), some_rows(TS, "a", 2))

    assert writer.pauses == [0.5, 1.0, 2.0]
    assert stored(f"bigquery://own/{dataset}") == expected(a_run(), some_rows(TS, "a", 2))


@pytest.mark.usefixtures("client")
def test_a_transaction_that_is_always_lost_is_an_error(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigquery_warehouse, "ATTEMPTS", 3)
    writer = Recorded(dataset, lost=1_000)
    with pytest.raises(DfpipeError, match=rf"^own.{dataset}: 400 Transaction is aborted due to"):
        writer.replace_run(a_run(), some_rows(TS, "a", 2))

    assert len(writer.pauses) == 2
    assert stored(f"bigquery://own/{dataset}") == {table.name: [] for table in TABLES}


@pytest.mark.usefixtures("client")
def test_any_other_failure_is_an_error_at_once(dataset: str) -> None:
    writer = Recorded(dataset)
    rows = some_rows(TS, "a", 1)
    object.__setattr__(rows[WORD_COUNTS][0], "count", "many")
    with pytest.raises(DfpipeError, match=rf"^own.{dataset}: [^\n]+$"):
        writer.replace_run(a_run(), rows)

    assert writer.pauses == []


def test_missing_credentials_say_what_to_do(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_credentials(*_: object, **__: object) -> None:
        raise DefaultCredentialsError("none found\nhere")

    monkeypatch.setattr(bigquery, "Client", no_credentials)
    with pytest.raises(DfpipeError, match=r"run `gcloud auth application-default login` \(none"):
        BigQueryWarehouse("own", dataset).query("latest_runs")


def test_nobody_there_is_an_error_in_bounded_time(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(bigquery_warehouse, "RETRY", bigquery_warehouse.RETRY.with_timeout(0.1))
    with pytest.raises(DfpipeError, match=rf"^own.{dataset}: [^\n]*"):
        BigQueryWarehouse("own", dataset).query("latest_runs")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("call", [lambda w: w.query("latest_runs"), lambda w: w.prepare()])
def test_a_dataset_elsewhere_is_named_with_its_location(
    dataset: str, call: Callable[[BigQueryWarehouse], object]
) -> None:
    Recorded(dataset).replace_run(a_run(), {})
    message = rf"^the dataset own.{dataset} is in EU, not in US: give \?location=EU, or leave the "

    with pytest.raises(DfpipeError, match=message):
        call(Recorded(dataset, location="US"))


def test_the_command_answers_from_bigquery(client: bigquery.Client, dataset: str) -> None:
    Recorded(dataset).replace_run(a_run(), some_rows(TS, "a", 2))
    sink = f"bigquery://own/{dataset}?location=EU"
    answer = subprocess.run(
        [sys.executable, "-m", "dfpipe", "query", "popular_words", "--sink", sink]
        + ["--format", "json"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["word"] for row in json.loads(answer.stdout)] == ["a1", "a2"]
