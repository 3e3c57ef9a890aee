"""Answers that are kept: for as long as they are true, and no longer."""

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dfpipe import warehouse
from dfpipe.errors import DfpipeError, NoResultsError
from dfpipe.warehouse.named_queries import Result
from launcher.views import results
from launcher.views.results import NoWarehouse, Results
from tests.support.launcher_pages import SLOT, SLOTS, fill

WORDS: tuple[str, dict[str, object]] = ("popular_words", {})


class Counted:
    """A real warehouse that counts what it is asked."""

    def __init__(self, url: str) -> None:
        self.asked: list[str] = []
        self.faults: list[Exception] = []
        self._warehouse = warehouse.connect(url)

    def query(self, name: str, **params: object) -> Result:
        self.asked.append(name)
        if self.faults:
            raise self.faults.pop()
        return self._warehouse.query(name, **params)

    def reading(self) -> AbstractContextManager[None]:
        return self._warehouse.reading()


class Place:
    """Results over a warehouse with two runs, and a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.url = f"duckdb:///{folder / 'results.duckdb'}"
        self.now = 0.0
        fill(self.url, SLOT - SLOTS)
        fill(self.url, SLOT)
        self.counted = Counted(self.url)
        self.results = Results(self.counted, lambda: self.now)

    def words(self, back: int = 0) -> list[str]:
        run = self.results.runs().rows[back]
        (answer,) = self.results.about(run, [WORDS])
        return [row["word"] for row in answer.dicts()]

    def later(self) -> None:
        self.now += results.FRESH_SECONDS


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_same_question_is_asked_once(place: Place) -> None:
    first = place.words()
    place.later()
    assert place.words() == first
    assert place.counted.asked == ["latest_runs", "popular_words", "latest_runs"]


def test_no_answer_is_kept_for_ever(place: Place) -> None:
    place.words()
    place.now += results.KEPT_SECONDS
    place.words()
    assert place.counted.asked.count("popular_words") == 2


def test_a_run_that_is_replaced_is_read_again(place: Place) -> None:
    place.words()
    fill(place.url, SLOT, words=("other", "words"))
    assert place.words()[0] == "harbour"
    place.later()
    assert place.words() == ["other", "words"]


def test_a_new_run_leaves_the_answers_on_others(place: Place) -> None:
    old = place.words(back=1)
    fill(place.url, SLOT + SLOTS, words=("other", "words"))
    place.later()
    assert place.words() == ["other", "words"]
    assert place.words(back=2) == old
    assert place.counted.asked.count("popular_words") == 2


def test_a_replaced_run_is_news_for_all_later_ones(place: Place) -> None:
    run = place.results.runs().rows[0]
    emerging = ("emerging_pairs", {"since": 1})
    assert not place.results.about(run, [emerging])[0].rows
    fill(place.url, SLOT - SLOTS, words=("other", "words"))
    place.later()
    assert place.results.about(place.results.runs().rows[0], [emerging])[0].rows


def test_histories_grow_with_the_runs(place: Place) -> None:
    asked: tuple[str, dict[str, Any]] = ("word_history", {"word": "storm"})
    assert len(place.results.history(*asked).rows) == 2
    fill(place.url, SLOT + SLOTS)
    place.later()
    assert len(place.results.history(*asked).rows) == 3
    place.results.history(*asked)
    assert place.counted.asked.count("word_history") == 2


def test_a_warehouse_that_is_busy_leaves_the_known_runs(place: Place) -> None:
    known = place.results.runs()
    place.later()
    place.counted.faults.append(DfpipeError("results.duckdb is held open by another process"))
    assert place.results.runs() is known
    assert place.words()


def test_a_warehouse_that_was_never_read_says_why(place: Place) -> None:
    place.counted.faults.append(DfpipeError("held open"))
    with pytest.raises(DfpipeError, match="held open"):
        place.results.runs()
    with pytest.raises(NoResultsError, match="set DFPIPE_SINK"):
        Results(NoWarehouse()).runs()


def test_no_more_is_kept_than_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MOST_KEPT", 2)
    for word in ("storm", "ferry", "wind"):
        place.results.history("word_history", {"word": word})
    place.results.history("word_history", {"word": "wind"})
    place.results.history("word_history", {"word": "storm"})
    assert place.counted.asked.count("word_history") == 4


def test_which_run_an_address_means(place: Place) -> None:
    runs = place.results.runs()
    newest, oldest = runs.rows
    assert runs.newest == runs.at(SLOT + SLOTS) == runs.at(SLOT) == newest
    assert runs.at(SLOT - timedelta(seconds=1)) == oldest
    assert runs.at(SLOT - 2 * SLOTS) is None
    assert runs.around(newest) == (oldest, None)
    assert runs.around(oldest) == (None, newest)
