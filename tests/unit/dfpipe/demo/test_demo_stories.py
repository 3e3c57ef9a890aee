"""The stories that are found in the demo's timeline against the themes that it is made of."""

from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.demo import timeline
from dfpipe.demo.texts import STORIES
from tests.stories_oracle import Stories
from tests.support.stories import analyse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)  # of the README
STOP_WORDS = stop_words_in_effect("modern")


def words_of(theme: int) -> set[str]:
    """All that posts on a theme may say."""
    text = " ".join([STORIES[theme].tag, *STORIES[theme].lines])
    for sign in "{|}":
        text = text.replace(sign, " ")
    return Tokenizer("modern", STOP_WORDS).words(text)


THEMES = [words_of(theme) for theme in range(len(STORIES))]


def themes_of(words: str) -> list[int]:
    """The themes that have more than half of a story's words."""
    named = set(words.split())
    return [i for i, theme in enumerate(THEMES) if 2 * len(named & theme) > len(named)]


@pytest.fixture(scope="module")
def found() -> Stories:
    posts = [asdict(post) for post in timeline.timeline(NOW - timedelta(days=4), NOW)]
    return analyse(posts, NOW, stop_words=STOP_WORDS)


def test_every_theme_has_stories_of_its_own(found: Stories) -> None:
    pieces: defaultdict[str, list[str]] = defaultdict(list)
    for row in found.stories:
        themes = themes_of(row[3])
        assert len(themes) <= 1, f"{row[3]} joins themes"
        for theme in themes:
            pieces[STORIES[theme].tag].append(row[3])
    assert {tag: len(stories) for tag, stories in pieces.items()} == PIECES


# These figures are in docs/reference/stories.md: of so many stories are the themes.
PIECES = {
    "AtticVermeer": 1,
    "Blackout": 1,
    "CroissantHat": 1,
    "MoonProbe": 1,
    "ChessCrown": 2,
    "CityMarathon": 2,
    "CupFinal": 2,
    "MayorDebate": 2,
    "StormOdette": 2,
    "LumenNine": 4,
}


def test_a_theme_that_began_in_the_last_day_is_first_among_the_rising(found: Stories) -> None:
    rising = sorted((row for row in found.stories if row[9] < 0.01), key=lambda row: -row[8])
    (first,) = themes_of(rising[0][3])
    hour = int(NOW.timestamp()) // 3600
    assert timeline.story_size(first, hour) > 0.0 == timeline.story_size(first, hour - 24)
