import doctest
from pathlib import Path

import pytest

from dfpipe.analysis import stopwords
from dfpipe.analysis.stopwords import LANGUAGES, read_stop_words, stop_words_in_effect
from dfpipe.errors import UsageError
from tests import oracle


def test_the_docstrings_examples_hold() -> None:
    assert doctest.testmod(stopwords).failed == 0


def test_classic_has_the_fixed_list() -> None:
    assert stop_words_in_effect("classic") == set(oracle.CLASSIC_STOP_WORDS.split())


@pytest.mark.parametrize(("languages", "words"), [(("en",), ()), ((), ("more",))])
def test_classic_refuses_others(languages: tuple[str, ...], words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="are fixed: leave them out, or use --text=modern"):
        stop_words_in_effect("classic", languages, words)


def test_modern_is_english_by_default_and_has_ours() -> None:
    words = stop_words_in_effect("modern")
    assert {"the", "rt", "via", "amp", "don't"} <= words
    assert words == stop_words_in_effect("modern", ["en"])


def test_languages_add_up() -> None:
    both = stop_words_in_effect("modern", ["en", "fr"])
    assert both == stop_words_in_effect("modern", ["en"]) | stop_words_in_effect("modern", ["fr"])
    assert "avec" in both


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_named_has_a_list(language: str) -> None:
    assert len(stop_words_in_effect("modern", [language])) > 10


def test_unknown_language() -> None:
    with pytest.raises(UsageError, match=r"list of stop words \(got 'xx'\): choose from ar, bg,"):
        stop_words_in_effect("modern", ["en", "xx"])


def test_words_of_a_file_are_normalised(tmp_path: Path) -> None:
    file = tmp_path / "stop.txt"
    file.write_text("\ufeffBuy  # shout\n# all\n\nＳａｌｅ\nAnna’s\n", encoding="utf-8")
    words = stop_words_in_effect("modern", (), read_stop_words(str(file)))
    assert words - stop_words_in_effect("modern") == {"buy", "sale", "anna"} - stop_words_in_effect(
        "modern"
    )
    assert {"buy", "sale", "anna"} <= words


def test_unreadable_files(tmp_path: Path) -> None:
    bad = tmp_path / "latin.txt"
    bad.write_bytes(b"caf\xe9")
    for path in (bad, tmp_path / "absent.txt", tmp_path):
        with pytest.raises(
            UsageError, match="^cannot read --stopwords-file=.* give a UTF-8 text file"
        ):
            read_stop_words(str(path))
