"""The rules on texts: what a word is in the modern and the classic mode, and what a URL."""

import html
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import regex

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
END = "\x00"
_WORDS = {
    "modern": regex.compile(rf"[\p{{L}}\p{{N}}'][\p{{L}}\p{{M}}\p{{N}}'{_JOINERS}]*|{END}"),
    "classic": re.compile(rf"[A-Za-z']+|{END}"),
}
_LETTER = regex.compile(r"\p{L}")
# Most posts are ASCII, where these do the same in half the time: the pattern begins with a literal,
# and a text is split where a table has spaces.
_ASCII_MENTION = re.compile(rf"@(?<!\w@){_HANDLE}", re.ASCII)
_ASCII_WORDS = {
    mode: {c: chr(c) if pattern.match(chr(c)) else " " for c in range(128)}
    for mode, pattern in _WORDS.items()
}
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


def runs(texts: Iterable[str], mode: Mode) -> list[str]:
    r"""Return the runs of word characters of texts, with END between two texts.

    A few calls over all texts together take half the time of a few calls for each.

    >>> runs(["RT @anna: One's", "", "two"], "modern")
    ['rt', "one's", '\x00', '\x00', 'two']
    """
    # A control character does as well as another.
    text = f" {END} ".join([text.replace(END, "\x01") for text in texts])
    if mode == "modern":
        text = modern_text(text)
    if text.isascii():
        return text.translate(_ASCII_WORDS[mode]).split()
    found: list[str] = _WORDS[mode].findall(text)
    return found


def modern_word(run: str) -> str:
    """Return the word of a run in modern text, "" if it is not a word."""
    word = strip_quotes(run.rstrip(_JOINERS))
    return word if len(word) > 1 and _LETTER.search(word) else ""


def classic_word(run: str) -> str:
    """Return the word of a run in classic text, "" if it is not a word."""
    word = run.lower()
    return "" if len(word) == 1 and word != "'" else word


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


def urls_of(value: object, mode: Mode) -> set[str]:
    """Return the set of a post's URLs, given its property `urls`: a list, a string, or None."""
    values: Iterable[object] = value if isinstance(value, list | tuple) else (value,)
    strings = (url for url in values if isinstance(url, str))
    if mode == "classic":
        return {url.lower() for url in strings}
    return {url for url in map(normalise_url, strings) if url is not None}


def _netloc(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    default = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
    return host if default or not host else f"{host}:{parts.port}"


def _tracks(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in _TRACKING or name.startswith("utm_")
