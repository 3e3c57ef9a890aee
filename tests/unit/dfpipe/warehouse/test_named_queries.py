import doctest
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis.level import LEVEL
from dfpipe.errors import UsageError
from dfpipe.warehouse import named_queries, translate
from dfpipe.warehouse.named_queries import Parameter, folder_of, load, names, sql
from dfpipe.warehouse.translate import DIALECTS

SPECIFIED = {
    "latest_runs": [],
    "popular_words": ["ts"],
    "top_urls": ["ts"],
    "top_hosts": ["ts"],
    "interesting_pairs": ["ts"],
    "emerging_pairs": ["since", "ts"],
    "stories": ["ts"],
    "rising_stories": ["ts"],
    "recent_rises": ["since", "ts"],
    "story": ["w1", "w2", "ts"],
    "story_history": ["w1", "w2", "ts"],
    "rising_pairs": ["ts"],
    "rising_words": ["ts"],
    "word_history": ["word"],
    "pair_history": ["w1", "w2"],
    "popular_not_interesting": ["ts"],
    "run_findings": ["ts", "compared"],
    "link_findings": ["ts", "url"],
    "story_findings": ["ts", "w1", "w2"],
    "word_findings": ["ts", "w1", "w2"],
}


def test_doctests() -> None:
    assert doctest.testmod(named_queries).failed == 0
    assert doctest.testmod(translate).failed == 0


def test_the_queries_are_those_of_the_specification() -> None:
    assert {name: [p.name for p in load(name).parameters] for name in names()} == SPECIFIED


@pytest.mark.parametrize("name", sorted(SPECIFIED))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_translation_is_that_of_the_query(name: str, dialect: str) -> None:
    assert sql(name, dialect) == translate.translate(sql(name), dialect), (
        "run `python -m dfpipe.warehouse.translate`"
    )


@pytest.mark.parametrize("name", sorted(SPECIFIED))
def test_a_query_uses_the_parameters_that_it_declares(name: str) -> None:
    query, text = load(name), sql(name)
    assert query.answers.endswith(".")
    assert len(query.answers) <= 100
    assert all(f"@{parameter.name}" in text for parameter in query.parameters)
    assert {p.kind for p in query.parameters} <= {"STRING", "INT64", "TIMESTAMP"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_translation_is_left_over(dialect: str) -> None:
    needed = [name for name in names() if translate.translate(sql(name), dialect) != sql(name)]
    assert sorted(path.stem for path in folder_of(dialect).iterdir()) == needed


@pytest.mark.parametrize(
    ("name", "given_params", "message"),
    [
        ("nope", {}, "there is no query 'nope': give one of emerging_pairs, interesting_pairs, "),
        ("../queries/latest_runs", {}, r"there is no query '\.\./queries/latest_runs': did you "),
        ("popular_word", {}, r"there is no query 'popular_word': did you mean popular_words\?"),
        ("latest_runs", {"a": 1}, "query latest_runs has no parameter a: it has none$"),
        ("rising_words", {"a": 1}, "query rising_words has no parameter a: its parameters are t"),
        ("pair_history", {"w1": "a"}, "query pair_history needs w2, the other, in any order: give"),
        ("word_history", {"word": 3}, "parameter word=3: give a text$"),
        (
            "emerging_pairs",
            {"since": -1},
            "parameter since=-1: give a whole number from 0 to 1000000",
        ),
        ("emerging_pairs", {"since": "1.5"}, "parameter since=1.5: give a whole number from 0"),
        ("emerging_pairs", {"since": 1_000_001}, "parameter since=1000001: give a whole number"),
        ("emerging_pairs", {"since": "٣"}, "parameter since=٣: give a whole number from 0"),
        ("emerging_pairs", {"since": True}, "parameter since=True: give a whole number from 0"),
        ("emerging_pairs", {"since": None}, "parameter since=None: give a whole number from 0"),
        ("top_urls", {"ts": "2015-01"}, "parameter ts=2015-01: give a time such as .* or a date"),
        ("top_urls", {"ts": "0001-01-01T00:00:00+23:00"}, "parameter ts=0001.*: give a time such"),
    ],
)
def test_wrong_words_are_errors(name: str, given_params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        load(name).bind(given_params)


def test_texts_and_values_bind_alike() -> None:
    moment = datetime(2015, 1, 11, tzinfo=UTC)
    query = load("emerging_pairs")
    assert query.bind({}) == {"since": 24, "ts": None}
    assert query.bind({"since": "0", "ts": "2015-01-11T00:00:00Z"}) == {"since": 0, "ts": moment}
    local = moment.astimezone(timezone(timedelta(hours=5)))
    assert query.bind({"since": 0, "ts": local}) == {"since": 0, "ts": moment}
    assert query.bind({"ts": local})["ts"].tzinfo is UTC


@given(st.integers(0, named_queries.INT64_LIMIT))
def test_every_number_in_range_binds(n: int) -> None:
    parameter = Parameter("n", "INT64", "1", "a number")
    assert parameter.value(n) == parameter.value(str(n)) == n


@given(st.text())
def test_any_text_binds_or_is_refused(text: str) -> None:
    assert Parameter("w", "STRING", None, "a word").value(text) == text
    for kind in ("INT64", "TIMESTAMP"):
        with suppress(UsageError):
            assert Parameter("p", kind, None, "a value").value(text) is not None


@pytest.mark.parametrize("name", ["rising_stories", "recent_rises"])
def test_rising_stories_are_those_below_the_level(name: str) -> None:
    assert f"stories.p_value < {LEVEL}\n" in sql(name)


def test_rising_stories_are_selected_as_all_stories_are() -> None:
    rising, every = (
        sql(name).partition("WITH newest")[2] for name in ("rising_stories", "stories")
    )
    assert rising.startswith(every.removesuffix("ORDER BY stories.rank\n"))
