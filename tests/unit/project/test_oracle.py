"""The oracle against the examples of the specification and sums done by hand."""

import ast
import doctest
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import oracle

END = datetime(2026, 3, 5, tzinfo=UTC)


def post(text: object, hours: float = 1, **properties: object) -> dict[str, object]:
    return {"text": text, "created_at": END - timedelta(hours=hours), **properties}


def test_examples_hold() -> None:
    result = doctest.testmod(oracle)
    assert result.attempted > 5
    assert not result.failed


def test_it_imports_nothing_of_the_project() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    ]
    assert not [name for name in modules if name.startswith(("dfpipe", "tests"))]


def test_a_worked_example() -> None:
    posts = [
        post("storm harbour", urls=["http://example.org", "http://example.org/#a"]),
        post("storm harbour the", urls="http://example.org/"),
        post("storm tea", urls=[None, 7]),
        post("2026 !"),
        post(None),
        post(b"storm"),
        post("late", hours=0),
        post("early", hours=97),
        {"text": "without a time"},
    ]
    result = oracle.analyse(posts, END, stop_words=["The"])
    assert result.run == {"tweets": 4, "skipped": 2, "words": 3, "urls": 1}
    assert result.word_counts == [
        (1, "storm", 3, 75.0),
        (2, "harbour", 2, 50.0),
        (3, "tea", 1, 25.0),
    ]
    assert result.urls == [(1, "http://example.org/", 2)]
    assert result.word_cooccur == [
        (1, "harbour", "storm", 2, 2 * math.log(4 / 3)),
        (2, "storm", "tea", 1, 1 * math.log(4 / 3)),
    ]


def test_the_window_holds_its_start_and_not_its_end() -> None:
    posts = [post("end", hours=0), post("start", hours=36), post("before", hours=36.001)]
    assert [row[1] for row in oracle.analyse(posts, END, days=1.5).word_counts] == ["start"]


def test_a_word_in_every_post_is_in_no_pair() -> None:
    result = oracle.analyse([post("one two"), post("two three")], END)
    assert result.word_cooccur == []
    assert [row[1] for row in result.word_counts] == ["two", "one", "three"]


@pytest.mark.parametrize("mode", ["modern", "classic"])
def test_an_empty_window_gives_empty_tables(mode: str) -> None:
    result = oracle.analyse([], END, text_mode=mode)
    assert result == oracle.Analysis([], [], [], {"tweets": 0, "skipped": 0, "words": 0, "urls": 0})


def test_classic_counts_as_the_original_did() -> None:
    posts = [post("The CAFÉ's ' x", urls=["HTTP://Example.ORG/A?utm_source=B"])]
    result = oracle.analyse(posts, END, text_mode="classic")
    assert [row[1] for row in result.word_counts] == ["'", "'s", "caf"]
    assert result.urls == [(1, "http://example.org/a?utm_source=b", 1)]


def test_the_tables_are_cut_to_their_lengths() -> None:
    posts = [post("ab cd ef", urls=["http://b.test", "http://a.test"]), post("gh")]
    result = oracle.analyse(posts, END, top_words=2, top_urls=1, top_pairs=1)
    assert [row[1] for row in result.word_counts] == ["ab", "cd"]
    assert [row[1] for row in result.urls] == ["http://a.test/"]
    assert [row[1:3] for row in result.word_cooccur] == [("ab", "cd")]
