"""The words and URLs of a post, in the modern and the classic text mode."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
import regex

from dfpipe.analysis.word_sets import Longs, WordSets, word_sets_of

Mode = str
MODES: tuple[Mode, ...] = ("modern", "classic")

# A link of X's shortener ends with its letters and digits: many languages put no space after it.
# `re` finds a set of letters faster than one letter whose case it ignores.
_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://(?:[Tt]\.[Cc][Oo]/[A-Za-z0-9]+|\S*)")
# A handle, with its host if it has one.
_HANDLE = r"\w+(?:[.@-]\w+)*"
_MENTION = re.compile(rf"[@＠](?<!\w[@＠]){_HANDLE}", re.ASCII)
# NFKC takes quadratic time in a run of marks; thirty are enough for any language (UAX #15). The two
# halfwidth sound marks are letters that NFKC turns into marks.
_LONG_RUN = regex.compile(r"([\p{M}\uff9e\uff9f]{30})[\p{M}\uff9e\uff9f]+")
_MAY_HAVE_LONG_RUN = re.compile("[^\x00-\u02ff]{31}")  # there are no marks among these
# A character reference by number. Python does not read numbers with thousands of digits, and no
# character has a number with more than seven.
_LONG_NUMBER = re.compile("&#0*([0-9]{8})[0-9]*")
_JOINERS = "\u200c\u200d"
# Between texts that are taken together: no rule sees more in it than a sign that is not of a word.
_END = "\x00"
_WORD = regex.compile(rf"[\p{{L}}\p{{N}}'][\p{{L}}\p{{M}}\p{{N}}'{_JOINERS}]*|{_END}")
_LETTER = regex.compile(r"\p{L}")
_CLASSIC_WORD = re.compile(rf"[A-Za-z']+|{_END}")
# Most posts are ASCII, where these do the same in half the time: the pattern begins with a literal,
# and a text is split where a table has spaces.
_ASCII_MENTION = re.compile(rf"@(?<!\w@){_HANDLE}", re.ASCII)
_ASCII_WORDS, _ASCII_CLASSIC_WORDS = (
    {c: chr(c) if pattern.match(chr(c)) else " " for c in range(128)}
    for pattern in (_WORD, _CLASSIC_WORD)
)
_MARKS = dict.fromkeys("\u2019\u02bc", "'") | dict.fromkeys(
    ["\u20e3", *map(chr, range(0xFE00, 0xFE10))], " "
)

_TRACKING = frozenset(
    ("fbclid", "gclid", "dclid", "mc_cid", "mc_eid", "igshid", "ref_src", "ref_url")
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def modern_text(text: str) -> str:
    """Return a text without entities, URLs and mentions, normalised (NFKC) and in lower case.

    >>> modern_text("RT @anna: Caf\u00e9\u2019s &amp; bars https://t.co/x")
    "rt  : caf\u00e9's & bars  "
    """
    if "&" in text:
        text = html.unescape(_LONG_NUMBER.sub(r"&#\1", text))
    if "://" in text:
        text = _URL.sub(" ", text)
    if text.isascii():
        return _ASCII_MENTION.sub(" ", text).lower() if "@" in text else text.lower()
    return fold(_MENTION.sub(" ", text))


def fold(text: str) -> str:
    """Return a text in NFKC and lower case, its apostrophes alike; in linear time.

    >>> fold("Ⅷ’S 1\ufe0f\u20e3"), len(fold("x" + "\u0316\u0301" * 1000))
    ("viii's 1  ", 31)
    """
    if _MAY_HAVE_LONG_RUN.search(text):
        text = _LONG_RUN.sub(r"\1", text)
    text = unicodedata.normalize("NFKC", text).lower()
    for mark, plain in _MARKS.items():  # ten times as fast as str.translate
        text = text.replace(mark, plain)
    return text


def strip_quotes(word: str) -> str:
    """Return a word without quotation marks around it and without a possessive 's.

    >>> [strip_quotes(word) for word in ("'tis", "anna's'", "rock'n'roll", "'s")]
    ['tis', 'anna', "rock'n'roll", 's']
    """
    return word.strip("'").removesuffix("'s").rstrip("'")


def normalise_stop_word(word: str) -> str:
    """Return a stop word in the form in which a post's words are compared with it.

    >>> normalise_stop_word("Don\u2019t")
    "don't"
    """
    return strip_quotes(fold(word))


class WordNumbers(dict[str, int]):
    """Maps a run of word characters to the number of its word, or to NONE if it is not a word.

    Posts repeat their words: with this memo, each run is judged only once. The words get numbers
    in the order in which they first come.
    """

    NONE, END = -1, -2
    LIMIT = 500_000  # runs; some 80 MB

    def __init__(self, judge: Callable[[str], str]) -> None:
        super().__init__()
        self.judge = judge
        self.words: list[str] = []
        self._forget()

    def __missing__(self, run: str) -> int:
        word = self.judge(run)
        number = self._numbers.setdefault(word, len(self.words)) if word else self.NONE
        if number == len(self.words):
            self.words.append(word)
        self[run] = number
        return number

    def limit(self) -> None:
        """Begin anew if there are too many runs: earlier numbers mean nothing then."""
        if len(self) > self.LIMIT:
            self._forget()

    def _forget(self) -> None:
        self.clear()
        self[_END] = self.END
        self.words = []
        self._numbers: dict[str, int] = {}


class Tokenizer:
    """Gives the words and the URLs of posts in one text mode, without the given stop words."""

    def __init__(self, mode: Mode, stop_words: Set[str]) -> None:
        """Choose the mode, one of MODES; stop words are in the form of `normalise_stop_word`."""
        self.mode = mode
        self.stop_words = frozenset(stop_words)
        self._numbers = WordNumbers(self._modern_word if mode == "modern" else self._classic_word)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the memo."""
        return Tokenizer, (self.mode, self.stop_words)

    def words(self, text: str) -> set[str]:
        """Return the set of a text's words.

        >>> sorted(Tokenizer("modern", {"the"}).words("The Caf\u00e9\u2019s \u2764\ufe0flove 2015"))
        ['caf\u00e9', 'love']
        >>> sorted(Tokenizer("classic", {"the"}).words("The #Caf\u00e9 t.co/Ab"))
        ['ab', 'caf', 'co']
        """
        self._numbers.limit()
        numbers = set(map(self._numbers.__getitem__, self._runs([text])))
        return {self._numbers.words[number] for number in numbers if number >= 0}

    def word_sets(self, texts: Sequence[str]) -> WordSets:
        """Return the sets of words of texts, as `words` gives that of one.

        A few calls over all texts together take half the time of a few calls for each.
        """
        self._numbers.limit()
        ascii_only = np.array([text.isascii() for text in texts], np.bool_)
        found = [self._numbered(texts, np.flatnonzero(of)) for of in (ascii_only, ~ascii_only)]
        post, number = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return word_sets_of(len(texts), post, number, self._numbers.words)

    def _numbered(self, texts: Sequence[str], chosen: Longs) -> tuple[Longs, Longs]:
        """Return the numbers of the words of the chosen texts, after the places of these texts."""
        runs = self._runs([texts[i] for i in chosen.tolist()])
        numbers = np.fromiter(map(self._numbers.__getitem__, runs), np.int64, len(runs))
        place = np.cumsum(numbers == WordNumbers.END)
        kept = numbers >= 0
        return chosen[place[kept]], numbers[kept]

    def _runs(self, texts: Sequence[str]) -> list[str]:
        """Return the runs of word characters of texts, with _END between two texts."""
        # A control character does as well as another.
        text = f" {_END} ".join([text.replace(_END, "\x01") for text in texts])
        if self.mode == "modern":
            text = modern_text(text)
        is_modern = self.mode == "modern"
        if text.isascii():
            return text.translate(_ASCII_WORDS if is_modern else _ASCII_CLASSIC_WORDS).split()
        found: list[str] = (_WORD if is_modern else _CLASSIC_WORD).findall(text)
        return found

    def urls(self, value: object) -> set[str]:
        """Return the set of a post's URLs, given its property `urls`: a list, a string, or None."""
        values: Iterable[object] = value if isinstance(value, list | tuple) else (value,)
        strings = (url for url in values if isinstance(url, str))
        if self.mode == "classic":
            return {url.lower() for url in strings}
        return {url for url in map(normalise_url, strings) if url is not None}

    def _modern_word(self, run: str) -> str:
        word = strip_quotes(run.rstrip(_JOINERS))
        kept = len(word) > 1 and _LETTER.search(word) and word not in self.stop_words
        return word if kept else ""

    def _classic_word(self, run: str) -> str:
        word = run.lower()
        single_letter = len(word) == 1 and word != "'"
        return "" if single_letter or word in self.stop_words else word


def normalise_url(url: str) -> str | None:
    """Return the form of an http(s) URL under which it is counted; None for anything else.

    >>> normalise_url("HTTP://User@Example.COM:80?utm_source=x&id=7&#top")
    'http://example.com/?id=7'
    >>> normalise_url("mailto:anna@example.com") is None
    True
    """
    try:
        parts = urlsplit(url)
        netloc = _netloc(parts)
    except ValueError:  # an invalid port, an incomplete IPv6 address
        return None
    if parts.scheme not in _DEFAULT_PORTS or not netloc:
        return None
    query = "&".join(part for part in parts.query.split("&") if part and not _tracks(part))
    return f"{parts.scheme}://{netloc}{parts.path or '/'}{'?' if query else ''}{query}"


def _netloc(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
    return host if default or not host else f"{host}:{parts.port}"


def _tracks(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in _TRACKING or name.startswith("utm_")
