import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe import launch
from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.errors import UsageError
from dfpipe.options import settings
from dfpipe.settings import RunSettings

NOW = datetime(2015, 1, 11, 12, 30, 15, 250_000, UTC)
OLD_SINK = {"DFPIPE_WAREHOUSE": "duckdb:///old"}
ENDS = ["--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb"]


def given(*argv: str) -> RunSettings:
    return settings(PipelineOptions([*ENDS, *argv]), NOW)


def test_defaults() -> None:
    assert given().processes >= 1  # as many as there are cores
    assert given("--processes=1") == RunSettings(
        source="sqlite:///p.db",
        sink="duckdb:///r.duckdb",
        cache="p.db.cache",
        start=NOW - timedelta(days=4),
        end=NOW,
        recent=timedelta(hours=24),
        text="modern",
        languages=("en",),
        stop_words=stop_words_in_effect("modern"),
        top_words=500,
        top_urls=300,
        top_pairs=300,
        top_rising=100,
        top_stories=50,
        story_users=2,
        processes=1,
        slices=64,
        shards=16,
        held_texts=500_000,
        pair_candidates=2048,
    )


def test_a_runs_identity_is_its_end_to_the_second() -> None:
    assert given().ts == datetime(2015, 1, 11, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2015-01-11", datetime(2015, 1, 11, tzinfo=UTC)),
        ("2015-01-11T00:00:00Z", datetime(2015, 1, 11, tzinfo=UTC)),
        ("2015-01-11t00:00:00z", datetime(2015, 1, 11, tzinfo=UTC)),
        ("2015-01-11T01:30:00.25+01:30", datetime(2015, 1, 11, 0, 0, 0, 250_000, UTC)),
        ("2015-01-10 19:00:00-05:00", datetime(2015, 1, 11, tzinfo=UTC)),
    ],
)
def test_until(until: str, expected: datetime) -> None:
    chosen = given(f"--until={until}", "--days=0.5")
    assert chosen.end == expected
    assert chosen.end.tzinfo is UTC
    assert chosen.start == expected - timedelta(hours=12)


@pytest.mark.parametrize(
    "until",
    ["", "yesterday", "2015-01", "20150111", "2015-01-11T00:00:00", "20150111T000000Z"]
    + ["2015-02-30", "1420934400", "٢٠١٥-01-11"]
    + ["2015-02-30T00:00:00Z", "2015-01-11T25:00:00Z", "2015-01-11T00:00:60Z"]
    + ["0001-01-01T00:00:00+23:59", "٢٠١٥-01-11T00:00:00Z", "2015-01-11T00:00:00+01:60"],
)
def test_until_in_the_wrong_form(until: str) -> None:
    with pytest.raises(
        UsageError, match=r"^--until must be a time such as .*, or a date such as .* \(got "
    ):
        given(f"--until={until}")


@pytest.mark.parametrize(("hours", "expected"), [("6", 6), ("0.5", 0.5), ("95.9", 95.9)])
def test_recent(hours: str, expected: float) -> None:
    window = given(f"--recent={hours}").window
    assert window.since == NOW - timedelta(hours=expected)
    assert (window.start, window.end) == (NOW - timedelta(days=4), NOW)


@pytest.mark.parametrize(
    "hours", ["0", "-1", "nan", "inf", "six", "", "96", "97", "1e-12", "1e400"]
)
def test_recent_must_be_a_part_of_the_window(hours: str) -> None:
    message = (
        "--recent must be a number of hours above 0 and below the length of the window, "
        f"96 hours (got {hours})"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        given(f"--recent={hours}")


def test_a_window_of_a_day_is_recent_as_a_whole() -> None:
    assert given("--days=1").window.since == given("--days=1").start
    assert given("--days=0.5").window.since < given("--days=0.5").start


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "four", "", "1e9", "1e-12", "1e400"])
def test_days_that_are_no_length(days: str) -> None:
    with pytest.raises(UsageError, match=r"^--days must be a number above 0, .* \(got "):
        given(f"--days={days}")


@pytest.mark.parametrize(
    "name",
    [
        *("top-words", "top-urls", "top-pairs", "processes", "slices", "shards", "held-texts"),
        "pair-candidates",
    ],
)
@pytest.mark.parametrize("value", ["0", "-3", "1.5", "many", "", "9" * 5000, "²"])
def test_counts_that_are_none(name: str, value: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^--{name} must be a whole number of at least 10*.* \(got "
    ):
        given(f"--{name}={value}")


@pytest.mark.parametrize("value", ["1", "9999", "09999"])
def test_too_few_texts_to_hold(value: str) -> None:
    with pytest.raises(
        UsageError,
        match=rf"^--held-texts must be a whole number of at least 10000 \(got {value}\)$",
    ):
        given(f"--held-texts={value}")
    assert given("--held-texts=10000").held_texts == 10_000


def test_an_unknown_text_mode() -> None:
    with pytest.raises(UsageError, match=r"^--text must be modern or classic \(got old\)$"):
        given("--text=old")


@pytest.mark.parametrize("name", ["store", "sink"])
def test_missing_ends(name: str) -> None:
    others = [word for word in ENDS if not word.startswith(f"--{name}")]
    with pytest.raises(UsageError, match=f"^--{name} is required: give --{name}"):
        settings(PipelineOptions(others), NOW)


def test_stop_words_come_from_languages_and_file(tmp_path: Path) -> None:
    file = tmp_path / "stop.txt"
    file.write_text("Umbrella")
    words = given("--languages=fr, de", f"--stopwords-file={file}").stop_words
    assert {"umbrella", "avec", "nicht"} <= words
    assert words == stop_words_in_effect("modern", ["fr", "de"], ["umbrella"])


@pytest.mark.parametrize("runner", ["FlinkRunner", "PortableRunner"])
def test_a_job_server_has_options_of_its_own(runner: str) -> None:
    argv = [f"--runner={runner}", "--max_bundle_size=100", "--object_reuse"]
    launch.parse(argv, {})
    with pytest.raises(UsageError, match="did you mean --top-words"):
        launch.parse([*argv, "--top_word=3"], {})
    with pytest.raises(UsageError, match="unknown option stray"):
        launch.parse([*argv, "stray"], {})


def test_words_are_separated_by_dashes_or_underscores() -> None:
    dashes = given("--top-words=7", "--stopwords-file", "/dev/null")
    assert dashes == given("--top_words=7", "--stopwords_file", "/dev/null")
    assert dashes.top_words == 7


def test_the_store_had_other_names() -> None:
    options = PipelineOptions(["--source=sqlite:///q.db", ENDS[1]])
    assert settings(options, NOW).source == "sqlite:///q.db"


@pytest.mark.parametrize("sink", ["DFPIPE_SINK", "DFPIPE_WAREHOUSE"])
def test_the_environment_names_the_ends(sink: str) -> None:
    options = launch.parse([], {"DFPIPE_STORE": "sqlite:///e.db", sink: "duckdb:///e.duckdb"})
    found = settings(options, NOW)
    assert (found.source, found.sink) == ("sqlite:///e.db", "duckdb:///e.duckdb")


@pytest.mark.parametrize("spelling", ["--store", "--source"])
def test_the_command_line_overrides_the_environment(spelling: str) -> None:
    environ = {"DFPIPE_STORE": "sqlite:///e.db", "DFPIPE_SINK": "duckdb:///new", **OLD_SINK}
    options = launch.parse([f"{spelling}=sqlite:///c.db"], environ)
    found = settings(options, NOW)
    assert (found.source, found.sink) == ("sqlite:///c.db", "duckdb:///new")


def test_other_runners_have_none() -> None:
    with pytest.raises(UsageError, match="unknown option --max_bundle_size=100"):
        launch.parse(["--runner=FnApiRunner", "--max_bundle_size=100"], {})
