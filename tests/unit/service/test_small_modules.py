"""Times, tables, waits: what needs no process and no network."""

import doctest
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import fields, tables, times
from service.times import format_duration, parse_duration, parse_time, rfc3339
from service.waiting import Backoff


@pytest.mark.parametrize("module", [fields, tables, times])
def test_the_examples_in_the_code(module: object) -> None:
    outcome = doctest.testmod(module)  # type: ignore[arg-type]
    assert (outcome.attempted > 0, outcome.failed) == (True, 0)


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    st.integers(-720, 720),
)
def test_a_time_that_is_written_is_read_again(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_time(rfc3339(moment)) == moment
    assert parse_time(moment.isoformat()) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2015",
        "20150109",
        "2015-01-09T12:00:00",
        "2015-02-30",
        "2015-W02-5",
        "0001-01-01T00:00:00+14:00",
        "2015-01-09T12:00:00Z ",
        "２０１５-01-09",
        "x" * 100_000,
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time like 2015-01-09T12:00:00Z") as refused:
        parse_time(text)
    assert len(str(refused.value)) < 200


@given(st.integers(0, 36_525 * 86_400))
def test_a_duration_that_is_written_is_read_again(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2w", 1_209_600), (".5h", 1800), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "5 h", "-5h", "30m1h", "1h1h", "1e3s", "5M", "٣h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number and s, m, h, d or w"):
        parse_duration(text)


def test_durations_have_bounds() -> None:
    with pytest.raises(ValueError, match="'0s': expected a duration from 1s to 366d"):
        parse_duration("0s", least=timedelta(seconds=1), most=timedelta(days=366))
    with pytest.raises(ValueError, match="expected a duration from 0s to 36525d"):
        parse_duration("999999999d")


def test_rfc3339_is_in_utc() -> None:
    moment = datetime(2015, 1, 9, 12, 0, 0, 500_000, timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2015-01-09T10:00:00.500000Z"
    assert rfc3339(datetime(15, 1, 9, tzinfo=UTC), "seconds") == "0015-01-09T00:00:00Z"


def test_a_table_prints_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table(["account", "posts"], [["a\x1b[2J\nb", 1234], [None, 5]])
    out = capsys.readouterr().out
    assert "a\\x1b[2J\\nb" in out
    assert [line.split()[-1] for line in out.splitlines()[3:5]] == ["1,234", "5"]


def test_a_wait_grows_to_its_bound_and_begins_anew() -> None:
    backoff = Backoff(first=1, longest=30, jitter=0)
    assert list(islice(backoff.waits(), 7)) == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next() == 1


def test_jitter_takes_off_at_most_its_share() -> None:
    least = Backoff(first=4, longest=8, jitter=0.5, uniform=lambda low, high: high)
    assert [least.next(), least.next(), least.next()] == [2, 4, 4]


@pytest.mark.parametrize("bad", [{"first": 0}, {"first": 9}, {"factor": 0.5}, {"jitter": 2}])
def test_waits_that_make_no_sense(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 < first <= longest"):
        Backoff(**{"first": 1, "longest": 5, **bad})
