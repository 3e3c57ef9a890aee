"""The made-up timeline."""

import doctest
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
import stop_words
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.demo import timeline
from dfpipe.demo.texts import STORIES
from tests import oracle

NOW = datetime(2026, 3, 5, 13, 37, 42, tzinfo=UTC)
DAYS = timedelta(days=6)
# The domains that are kept free for examples, RFC 2606.
RESERVED = (".example", "example.com", "example.org", "example.net")


@pytest.fixture(scope="module")
def posts() -> list[timeline.Post]:
    return list(timeline.timeline(NOW - DAYS, NOW))


def test_examples_hold() -> None:
    result = doctest.testmod(timeline)
    assert result.attempted == 2
    assert not result.failed


def test_some_thousand_posts_in_the_order_of_time_and_of_ids(posts: list[timeline.Post]) -> None:
    assert 6_000 <= len(posts) <= 10_000
    assert all(NOW - DAYS <= post.created_at < NOW for post in posts)
    assert all(post.created_at.tzinfo is UTC for post in posts)
    assert [post.created_at for post in posts] == sorted(post.created_at for post in posts)
    ids = [post.tid for post in posts]
    assert ids == sorted(set(ids))
    assert 2**53 < ids[0] < ids[-1] < 2**63


def test_everything_is_made_up(posts: list[timeline.Post]) -> None:
    assert {post.user.split("_")[0] for post in posts} == {"demo"}
    hosts = {urlsplit(url).hostname for post in posts for url in post.urls}
    hosts |= {
        urlsplit(word).hostname for post in posts for word in post.text.split() if "//" in word
    }
    assert all((host or "").endswith(RESERVED) for host in hosts)


def test_it_has_what_real_timelines_have(posts: list[timeline.Post]) -> None:
    texts = [post.text for post in posts]
    for mark in ("RT @demo_", "#", "&amp;", "https://", "☕", "Köln", "ございます"):
        assert any(mark in text for text in texts), mark
    assert not any(set("{|}") & set(text) for text in texts)
    assert any("utm_source" in url for post in posts for url in post.urls)


def test_the_seed_alone_makes_another_timeline(posts: list[timeline.Post]) -> None:
    assert list(timeline.timeline(NOW - DAYS, NOW)) == posts
    assert list(timeline.timeline(NOW - DAYS, NOW, seed=1)) != posts


@given(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_adjoining_parts_are_the_whole(seconds: list[int]) -> None:
    times = [NOW + timedelta(seconds=s) for s in sorted([0, *seconds, 3 * 3600])]
    parts = [post for a, b in pairwise(times) for post in timeline.timeline(a, b)]
    assert parts == list(timeline.timeline(times[0], times[-1]))


def test_no_time_has_no_posts() -> None:
    assert list(timeline.timeline(NOW, NOW)) == []


@given(st.integers(0, 10**6), st.sampled_from(range(len(STORIES))))
def test_a_story_rises_once_a_week_and_never_above_its_size(hour: int, index: int) -> None:
    assert 0 <= timeline.story_size(index, hour) <= STORIES[index].size
    assert timeline.story_size(index, hour) == timeline.story_size(index, hour + 7 * 24)


@pytest.mark.parametrize("hours", [0, 75])
def test_pairs_of_a_new_story_emerge(hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    posts = [asdict(post) for post in timeline.timeline(now - DAYS, now)]
    stops = stop_words.get_stop_words("en")
    today, before = (
        [row[1:3] for row in oracle.analyse(posts, end, stop_words=stops).word_cooccur]
        for end in (now, now - timedelta(days=1))
    )
    emerging = [set(pair) for pair in today if pair not in before][:10]
    hour = int(now.timestamp()) // 3600
    new = [
        oracle.modern_words(" ".join(story.lines).replace("|", " "))
        for i, story in enumerate(STORIES)
        if timeline.story_size(i, hour) and not timeline.story_size(i, hour - 24)
    ]
    assert len(new) == 2
    assert any(pair <= words for pair in emerging for words in new)
