import pytest

from dfpipe.engines.workers import are_elsewhere
from dfpipe.errors import UsageError
from dfpipe.launch import launch, parse

FILES = ["--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb"]
DATAFLOW = ["--runner=DataflowRunner", "--project=my-project", "--region=r"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["--runner=DirectRunner"], False),
        (["--runner=PrismRunner", "--job_endpoint=localhost:8073"], False),
        (["--runner=PrismRunner", "--job_endpoint=prism.example:8073"], True),
        (["--runner=DataflowRunner"], True),
        (["--runner=apache_beam.runners.DataflowRunner"], True),
        (["--runner=DataflowRunner", "--dataflow_endpoint=http://localhost:8080"], False),
        (["--runner=FlinkRunner"], False),
        (["--runner=FlinkRunner", "--flink_master=[local]"], False),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:8081"], False),
        (["--runner=FlinkRunner", "--flink_master=https://[::1]:8081"], False),
        (["--runner=FlinkRunner", "--flink_master=flink.example:8081"], True),
        (["--runner=FlinkRunner", "--flink_master=http://flink.example:8081"], True),
        (
            ["--runner=flink", "--flink_master=flink.example:8081"]
            + ["--job_endpoint=localhost:8099"],
            True,
        ),
        (
            ["--runner=FlinkRunner", "--flink_master=flink.example:8081"]
            + ["--environment_type=LOOPBACK"],
            False,
        ),
        (["--runner=PortableRunner", "--job_endpoint=embed"], False),
        (["--runner=PortableRunner", "--job_endpoint=localhost:8099"], False),
        (["--runner=PortableRunner", "--job_endpoint=jobs.example:8099"], True),
        (["--runner=SparkRunner"], False),
        (["--runner=SparkRunner", "--spark_master_url=local[4]"], False),
        (["--runner=SparkRunner", "--spark_master_url=spark://spark.example:7077"], True),
    ],
)
def test_where_workers_are(words: list[str], expected: bool) -> None:
    assert are_elsewhere(parse(words, {})) == expected


@pytest.mark.parametrize("more", [[], ["--dry_run=True"], ["--template_location=gs://b/t"]])
@pytest.mark.parametrize(
    "engine", [DATAFLOW, ["--runner=FlinkRunner", "--flink_master=flink.example:8081"]]
)
def test_files_of_this_machine_are_refused_at_once(engine: list[str], more: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--store=sqlite:///p.db is a file on this machine, wh"):
        launch([*FILES, *engine, *more], {})
    store = ["--store=datastore://p", FILES[1]]
    with pytest.raises(UsageError, match=r"give --sink=bigquery://PROJECT/DATASET\?location=L$"):
        launch([*store, *engine, *more], {})


@pytest.mark.parametrize("name", ["Bad_Name", "1st", "end-", "a.b", "é", "x" * 1025])
@pytest.mark.parametrize("more", [[], ["--dry_run=True"]])
def test_a_name_that_dataflow_refuses_is_refused_at_once(name: str, more: list[str]) -> None:
    ends = ["--store=datastore://p", "--sink=bigquery://p/d"]
    # With an endpoint Beam itself does not look at the name.
    endpoint = "--dataflow_endpoint=http://localhost:9"
    with pytest.raises(UsageError, match=r"^--job_name=\S+ is not a job name for Dataflow: use lo"):
        launch([*ends, *DATAFLOW, endpoint, f"--job_name={name}", *more], {})
