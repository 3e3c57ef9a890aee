"""The stop words in effect: a language's list, our own, and the user's file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import stop_words

from dfpipe.analysis.text import Mode, normalise_stop_word
from dfpipe.errors import UsageError

LANGUAGES: tuple[str, ...] = tuple(sorted(stop_words.LANGUAGE_MAPPING))
_ALWAYS = ("rt", "via", "amp")
_CLASSIC = frozenset(
    "a amp an and are as at be been but by co do for has have he her his https if in is it me my "
    "no not of on or rt s she so t than that the they this to us was we what with you your who "
    "when via".split()
)


def stop_words_in_effect(
    mode: Mode, languages: Sequence[str] = (), words: Iterable[str] = ()
) -> frozenset[str]:
    """Return the stop words of a text mode, normalised as the words of posts are.

    Languages (ISO 639-1, default English) and further words belong to the modern mode; the classic
    list is fixed, because it serves to compare results with the original program. Raises
    UsageError.
    """
    extra = tuple(words)
    if mode == "classic":
        if languages or extra:
            raise UsageError(
                "--languages and --stopwords-file cannot be used with --text=classic, whose stop "
                "words are fixed: leave them out, or use --text=modern"
            )
        return _CLASSIC
    listed = (word for language in languages or default_languages(mode) for word in _of(language))
    return frozenset(map(normalise_stop_word, (*listed, *_ALWAYS, *extra))) - {""}


def default_languages(mode: Mode) -> tuple[str, ...]:
    """Return the languages of a text mode's stop words where none are given."""
    return ("en",) if mode == "modern" else ()


def language_list(languages: str | None) -> tuple[str, ...]:
    """Split a list of languages.

    >>> language_list("en, fr"), language_list(None)
    (('en', 'fr'), ())
    """
    return tuple(part.strip() for part in languages.split(",")) if languages is not None else ()


def read_stop_words(path: str) -> tuple[str, ...]:
    """Read stop words, one per line, from a UTF-8 file; `#` begins a comment. Raises UsageError."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read --stopwords-file={path} ({error}): give a UTF-8 text file with one word "
            "per line"
        ) from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def _of(language: str) -> list[str]:
    if language not in LANGUAGES:
        raise UsageError(
            f"--languages must name languages with a list of stop words (got {language!r}): "
            "choose from " + ", ".join(LANGUAGES)
        )
    words: list[str] = stop_words.get_stop_words(language)
    return words
