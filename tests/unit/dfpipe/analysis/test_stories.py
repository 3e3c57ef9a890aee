"""Rising words, rising pairs and stories: the functions of the analysis against the oracle."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import stories_oracle
from tests.support import stories

END = datetime(2026, 3, 5, tzinfo=UTC)
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
TIMES = st.one_of(
    st.sampled_from([END - TICK, END - 24 * HOUR, END - 24 * HOUR - TICK, END - 96 * HOUR]),
    st.timedeltas(-96 * HOUR, -TICK).map(lambda ago: END + ago),
)
# Copies of few texts with few words, so that words, pairs, sets of words and stories tie.
POSTS = st.lists(
    st.fixed_dictionaries(
        {
            "created_at": TIMES,
            "text": st.lists(st.sampled_from(["storm", "sea", "café", "ice", "fog"])).map(" ".join),
        },
        optional={
            "user": st.sampled_from(["anna", "ben", "ben\nand", 7]),
            "urls": st.lists(st.sampled_from(["http://a.com", "http://A.com/#x", "http://b.com"])),
        },
    ),
    max_size=30,
)
Posts = Sequence[Mapping[str, Any]]


def numbered(posts: Posts, times: int = 1) -> list[dict[str, Any]]:
    """Each post so many times, with ids that do not follow the order."""
    every = [post for post in posts for _ in range(times)]
    return [{**post, "tid": 2**60 + (7 * i) % len(every)} for i, post in enumerate(every)]


def check(posts: Posts, **options: Any) -> stories_oracle.Stories:
    found = stories.analyse(posts, END, **options)
    options.pop("candidates", None)
    assert found == stories_oracle.analyse(posts, END, **options)
    return found


@settings(deadline=None)
@given(
    POSTS,
    st.sampled_from([1, 6, 30]),
    st.sampled_from(["modern", "classic"]),
    st.sampled_from([1, 3, 300]),
    st.sampled_from([1, 2, 2048]),
    st.sampled_from([1, 24, 95.5]),
    st.sampled_from([1, 100]),
    st.sampled_from([1, 2, 3]),
)
def test_any_posts(
    posts: Posts,
    times: int,
    mode: str,
    k: int,
    candidates: int,
    recent: float,
    top: int,
    users: int,
) -> None:
    check(
        numbered(posts, times),
        text_mode=mode,
        top_pairs=k,
        candidates=candidates,
        recent=recent,
        top_rising=top,
        top_stories=top,
        story_users=users,
    )


def story(text: str, posts: int, hours: float, users: int = 9, **more: Any) -> list[dict[str, Any]]:
    """Posts with a text, the first so long ago and each of the others a minute later."""
    return [
        {
            "text": f"{text} {'ab'[i % 2]}{i}",
            "user": f"user{i % users}",
            "created_at": END - hours * HOUR + i * HOUR / 60,
            **more,
        }
        for i in range(posts)
    ]


NOISE = [*story("tea", 300, 96), *story("tea", 100, 23)]


@pytest.mark.parametrize("hours", [3, 90])
def test_a_burst_is_a_story_that_rises_if_it_is_recent(hours: int) -> None:
    burst = story("storm harbour", 40, hours, urls=["http://a.com/"])
    found = check(numbered([*NOISE, *burst]))
    [row] = found.stories
    assert (row[1:3], row[4:6]) == (("harbour", "storm"), (40, 9))
    assert row[3].startswith("harbour storm a0 ")
    assert ("storm" in [row[1] for row in found.rising_words]) == (hours == 3)
    assert bool(found.rising_pairs) == (row[9] < 0.01) == (hours == 3)
    assert found.story_urls == [(1, 1, "http://a.com/", 40)]
    assert sum(count for _, _, count in found.story_timeline) == 40


def test_one_user_makes_no_story_but_what_he_repeats_is_rising() -> None:
    spam = [{**post, "text": "buy gold now"} for post in story("", 500, 20, users=1)]
    found = check(numbered([*NOISE, *spam]))
    assert {row[1] for row in found.rising_words} == {"buy", "gold", "now"}
    assert len(found.rising_pairs) == 3
    assert found.stories == []


@pytest.mark.parametrize("hours", [1, 90])
def test_nothing_rises_where_all_posts_are_recent_or_none(hours: int) -> None:
    found = check(numbered(story("storm harbour", 9, hours)), recent=24)
    assert found.rising_words == found.rising_pairs == []
    # Words that are in every post weigh nothing.
    assert found.stories == []


def test_no_posts() -> None:
    assert check([]).stories == []


def test_equal_posts_are_copies_and_the_first_of_them_is_the_example() -> None:
    burst = [{**post, "text": "storm harbour"} for post in story("", 5, 9)]
    other = [{**post, "text": "storm harbour ferry"} for post in story("", 3, 8)]
    posts = numbered([*NOISE, *burst, *other])
    found = check(posts)
    assert found.story_posts == [(1, 1, posts[400]["tid"], 5), (1, 2, posts[405]["tid"], 3)]


def test_the_second_pass_finds_what_the_candidates_do_not_have() -> None:
    posts = numbered([*NOISE, *story("storm harbour", 40, 3), *story("ferry late", 30, 2)])
    assert check(posts, candidates=1, top_pairs=4) == check(posts, top_pairs=4)


def shuffled(posts: Posts, seed: int) -> list[dict[str, Any]]:
    times = [post["created_at"] for post in posts]
    random.Random(seed).shuffle(times)
    return [{**post, "created_at": at} for post, at in zip(posts, times, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_rises_by_chance(seed: int) -> None:
    posts = numbered([*NOISE, *story("storm harbour", 40, 3)])
    assert stories.analyse(posts, END).rising_words
    found = stories.analyse(shuffled(posts, seed), END)
    assert found.rising_words == found.rising_pairs == []
