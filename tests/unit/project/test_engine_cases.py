"""The cases that engines are compared on show what they are for."""

import pytest

from tests.support.engine_cases import CASES, Case, name_of
from tests.support.engines import stories_of

BURSTS = [case for case in CASES if case.name.startswith("bursts")]


@pytest.mark.parametrize("case", BURSTS, ids=name_of)
def test_something_rises_where_posts_burst(case: Case) -> None:
    found = stories_of(case)
    assert {"storm", "harbour", "flood"} <= {row[1] for row in found.rising_words}
    assert ("harbour", "storm") in {row[1:3] for row in found.rising_pairs}
    names = [set(row[3].split()) for row in found.stories]
    assert any(name >= {"storm", "harbour", "flood"} for name in names)
    assert any(name >= {"hostage", "market", "siege"} for name in names)
    assert found.story_posts
    assert found.story_urls
