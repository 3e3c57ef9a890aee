"""The settings of a classic template's jobs."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import RuntimeValueProvider

from dfpipe.engines.at_launch import AtLaunch, leave_open, part, value_of
from dfpipe.errors import UsageError
from dfpipe.options import AnalysisOptions, settings
from dfpipe.pipeline import submit
from dfpipe.warehouse import connect
from tests.support.analysis import store_posts

NOW = datetime(2015, 1, 11, tzinfo=UTC)
ENDS = ("--store=datastore://p", "--sink=bigquery://p/d", "--days=2")


@pytest.fixture(autouse=True)
def no_worker() -> Iterator[None]:
    before = RuntimeValueProvider.runtime_options
    RuntimeValueProvider.runtime_options = None
    yield
    RuntimeValueProvider.runtime_options = before


def template(*argv: str) -> AtLaunch:
    options = PipelineOptions([*ENDS, *argv])
    return leave_open(settings(options, NOW), options)


def launched(**parameters: object) -> None:
    RuntimeValueProvider.runtime_options = parameters


def test_what_is_told_at_launch_counts() -> None:
    given = template("--top-words=7")
    assert not given.is_accessible()
    launched(until="2016-02-03T00:00:00Z", sink="bigquery://p/other", days="0.5", source=None)
    assert given.is_accessible()
    found = given.get()
    end = datetime(2016, 2, 3, tzinfo=UTC)
    assert (found.start, found.end) == (end - timedelta(hours=12), end)
    assert (found.source, found.sink) == ("datastore://p", "bigquery://p/other")
    assert (found.top_words, found.stop_words) == (7, given.settings.stop_words)


def test_the_length_of_the_window_is_the_templates() -> None:
    given = template()
    launched(until="2016-02-03T00:00:00Z")
    assert given.get().end - given.get().start == timedelta(days=2)


def test_the_end_may_be_the_templates() -> None:
    given = template("--until=2014-01-01T00:00:00Z")
    launched(days="1")
    found = given.get()
    assert (found.start, found.end) == (
        datetime(2013, 12, 31, tzinfo=UTC),
        datetime(2014, 1, 1, tzinfo=UTC),
    )


def test_a_launch_without_an_end_is_refused() -> None:
    given = template()
    launched(days="1")
    with pytest.raises(UsageError, match="parameter until is required to launch this template: "):
        given.get()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("until", "now", "--until must be a time such as"), ("days", "0", "--days must be a number")],
)
def test_a_wrong_parameter_is_refused(name: str, value: str, message: str) -> None:
    given = template()
    launched(**{"until": "2016-02-03T00:00:00Z", name: value})
    with pytest.raises(UsageError, match=message):
        given.get()


def test_the_options_tell_what_is_open() -> None:
    options = PipelineOptions(list(ENDS))
    leave_open(settings(options, NOW), options)
    view = options.view_as(AnalysisOptions)
    for name in ("source", "sink", "until", "days"):
        assert not getattr(view, name).is_accessible()
    assert view.top_words == "500"


def test_a_part_is_a_value_where_nothing_is_open() -> None:
    chosen = settings(PipelineOptions(list(ENDS)), NOW)
    assert value_of(part(chosen, None, lambda s: s.sink)) == "bigquery://p/d"
    launched(until="2016-02-03T00:00:00Z", sink="bigquery://p/other")
    provider = part(chosen, template(), lambda s: s.sink)
    assert value_of(provider) == "bigquery://p/other"


def test_a_job_begins_with_its_first_step(tmp_path: Path) -> None:
    source, sink = f"sqlite:///{tmp_path}/p.db", f"duckdb:///{tmp_path}/r.duckdb"
    store_posts(
        source, [{"tid": 1, "user": "anna", "text": "storm", "created_at": NOW.replace(day=10)}]
    )
    ends = [f"--store={source}", f"--sink={sink}", f"--until={NOW.isoformat()}"]
    options = PipelineOptions([*ends, "--runner=FnApiRunner"])
    chosen = settings(options, NOW)
    connect(sink).prepare()
    before = time.time()
    submit(chosen, options, 0.0, leave_open(chosen, options)).wait_until_finish()
    ended = time.time()
    with duckdb.connect(f"{tmp_path}/r.duckdb", read_only=True) as connection:
        [(posts, seconds)] = connection.execute("SELECT tweets, seconds FROM runs").fetchall()
    assert posts == 1
    assert 0 < seconds <= ended - before
