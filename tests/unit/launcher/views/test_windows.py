"""The posts of a run's window as pages read them: the same as the run took, within limits."""

import doctest
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.datastore import Store, StoreError, connect
from dfpipe.posts.post import Post, to_entity
from launcher.views import windows
from launcher.views.figures import Figures
from launcher.views.windows import StoredPost, WindowPosts, Windows, within, words_of
from tests.support.launcher_pages import SLOT, a_run

RUN = {name: getattr(a_run(SLOT), name) for name in a_run(SLOT).__dataclass_fields__}
TEXTS = st.lists(
    st.text(st.sampled_from("abAB'’ &;#98éÉｂＡ\u0301\u200dK@.:/")) | st.text(max_size=20),
    max_size=8,
)


def test_doctests() -> None:
    assert doctest.testmod(windows).failed == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    client = connect(f"sqlite:///{tmp_path / 'store.db'}")
    yield client
    client.close()


def put(store: Store, texts: dict[str, datetime], urls: tuple[str, ...] = ()) -> None:
    posts = [Post(i, "anna", text, time, urls) for i, (text, time) in enumerate(texts.items(), 1)]
    store.put_multi([to_entity(post, store, SLOT) for post in posts])


def hours(number: float) -> datetime:
    return SLOT - timedelta(hours=number)


@pytest.mark.parametrize("mode", ["modern", "classic"])
@given(texts=TEXTS)
def test_words_are_those_of_the_analysis(mode: str, texts: list[str]) -> None:
    tokenizer = Tokenizer(mode, set())
    assert list(words_of(texts, mode)) == [tokenizer.words(text) for text in texts]


@pytest.mark.parametrize("mode", ["modern", "classic"])
@given(texts=TEXTS, data=st.data())
def test_posts_with_words_are_those_whose_words_they_are(
    mode: str, texts: list[str], data: st.DataObject
) -> None:
    tokenizer = Tokenizer(mode, set())
    known = sorted({word for text in texts for word in tokenizer.words(text)}) or ["a"]
    wanted = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
    posts = [StoredPost(i, SLOT, text, None) for i, text in enumerate(texts)]
    found = [post.tid for post in WindowPosts(mode, posts).with_words(wanted)]
    assert found == [i for i, text in enumerate(texts) if {*wanted} <= tokenizer.words(text)]


def test_the_posts_of_a_window_are_counted_in_its_parts(store: Store) -> None:
    texts = {
        "Storm!": hours(1),
        "a storm": hours(96),
        "storm, later": SLOT,
        "earlier storm": hours(96.1),
        "a brainstorm": hours(2),
    }
    put(store, texts)
    window = Windows(store).posts(RUN)
    assert window is not None
    assert [post.tid for post in window.posts] == [1, 5, 2]
    found = within(window, window.with_words(["storm"]), Figures.of(RUN))
    assert (found.posts, found.stored, found.reaches) == (2, 3, None)
    assert found.timeline.label.startswith("Posts over time, at most 1 post an hour")


def test_posts_that_carry_a_link(store: Store) -> None:
    put(store, {"one": hours(1)}, ("https://a.example/x?utm_source=b", "https://b.example"))
    window = Windows(store).posts(RUN)
    assert window is not None
    assert len(window.with_link("https://a.example/x")) == 1
    assert not window.with_link("https://c.example/")


def test_a_window_is_read_once_and_again_after_a_while(store: Store) -> None:
    now = [0.0]
    put(store, {"one": hours(1)})
    pages = Windows(store, lambda: now[0])
    first = pages.posts(RUN)
    assert pages.posts(RUN) is first
    now[0] = windows.KEPT
    assert pages.posts(RUN) is not first


@pytest.mark.parametrize("limit", ["MOST_POSTS", "MOST_CHARACTERS"])
def test_a_limit_leaves_out_the_oldest_posts(
    store: Store, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, {"new": hours(1), "old": hours(2), "x": hours(3)})
    monkeypatch.setattr(windows, limit, 2 if limit == "MOST_POSTS" else 6)
    window = Windows(store).posts(RUN)
    assert window is not None
    assert [post.text for post in window.posts] == ["new", "old"]
    assert window.reaches == hours(2)


def test_a_reading_ends_at_its_deadline(store: Store) -> None:
    put(store, {"new": hours(1), "old": hours(2), "x": hours(3)})
    ticks = itertools.count(0, windows.DEADLINE / 2)
    window = Windows(store, lambda: next(ticks)).posts(RUN)
    assert window is not None
    assert window.reaches == hours(2)


@pytest.mark.parametrize("error", [StoreError("gone"), ServiceUnavailable("gone")])
def test_a_store_that_cannot_be_read_gives_no_window(store: Store, error: Exception) -> None:
    class Failing:
        def query(self, **_: Any) -> Any:
            raise error

    failing: Any = Failing()
    assert Windows(failing).posts(RUN) is None


def test_few_windows_are_kept(store: Store) -> None:
    put(store, {"one": hours(1)})
    pages = Windows(store)
    first = pages.posts(RUN)
    for number in range(windows.MOST_WINDOWS):
        pages.posts({**RUN, "ts": datetime(2025, 1, 1 + number, tzinfo=UTC)})
    assert pages.posts(RUN) is not first
