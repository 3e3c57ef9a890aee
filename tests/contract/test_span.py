"""Which times the posts of a store cover, on every store."""

import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

from dfpipe.posts import span
from dfpipe.posts.post import Post
from dfpipe.posts.span import Span, stored_span
from dfpipe.posts.storing import store

NOON = datetime(2015, 1, 9, 12, tzinfo=UTC)


def test_doctests() -> None:
    assert doctest.testmod(span).failed == 0


def test_an_empty_store_has_none(client: Any) -> None:
    assert stored_span(client) is None


def test_the_oldest_and_the_newest_post_bound_it(client: Any) -> None:
    times = [NOON + timedelta(hours=hours) for hours in (3, -2, 0)]
    store(client, [Post(i, "anna", "Storm", time) for i, time in enumerate(times, 1)], now=NOON)
    assert stored_span(client) == Span(times[1], times[0])
    assert str(stored_span(client)) == "2015-01-09 10:00 to 2015-01-09 15:00 UTC"


def test_one_post_is_both(client: Any) -> None:
    store(client, [Post(1, "anna", "Storm", NOON)], now=NOON)
    assert stored_span(client) == Span(NOON, NOON)
