"""The analysis once more, by brute force: slow, obvious, and without a line of dfpipe.

Posts are mappings with the properties of a stored post, any of which may be missing or of another
type. Whatever the pipeline computes is compared with what this computes from the same posts.
"""

import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import regex

CLASSIC_STOP_WORDS = """a amp an and are as at be been but by co do for has have he her his https if
in is it me my no not of on or rt s she so t than that the they this to us was we what with you your
who when via"""
TRACKING = {"fbclid", "gclid", "dclid", "mc_cid", "mc_eid", "igshid", "ref_src", "ref_url"}


@dataclass(frozen=True)
class Analysis:
    """The rows of the three ranked tables without `ts`, and the counts of the run."""

    word_counts: list[tuple[int, str, int, float]]  # rank, word, count, percent
    urls: list[tuple[int, str, int]]  # rank, url, count
    word_cooccur: list[tuple[int, str, str, int, float]]  # rank, w1, w2, count, log_weight
    run: dict[str, int]  # tweets, skipped, words, urls


def analyse(
    posts: Iterable[Mapping[str, Any]],
    end: datetime,
    days: float = 4,
    text_mode: str = "modern",
    stop_words: Iterable[str] = (),
    top_words: int = 500,
    top_urls: int = 300,
    top_pairs: int = 300,
) -> Analysis:
    """Analyse the posts of the window; stop words are those of the modern mode, as written."""
    in_window = [post for post in posts if is_between(post, end - timedelta(days=days), end)]
    tweets = [post for post in in_window if isinstance(post.get("text"), str)]
    n_posts = len(tweets)

    if text_mode == "classic":
        sets = [classic_words(post["text"]) for post in tweets]
        url_sets = [{url.lower() for url in strings(post.get("urls"))} for post in tweets]
    else:
        stops = {strip(fold(word)) for word in stop_words}
        sets = [modern_words(post["text"]) - stops for post in tweets]
        url_sets = [
            {modern_url(url) for url in strings(post.get("urls"))} - {""} for post in tweets
        ]

    df = Counter(word for words in sets for word in words)
    url_counts = Counter(url for urls in url_sets for url in urls)
    together = Counter(pair for words in sets for pair in combinations(sorted(words), 2))
    weights = {
        (w1, w2): n * math.log(n_posts / max(df[w1], df[w2])) for (w1, w2), n in together.items()
    }

    words = sorted(df, key=lambda word: (-df[word], word))[:top_words]
    urls = sorted(url_counts, key=lambda url: (-url_counts[url], url))[:top_urls]
    heavy = [pair for pair in weights if weights[pair] != 0]
    pairs = sorted(heavy, key=lambda pair: (-weights[pair], *pair))[:top_pairs]
    return Analysis(
        [(i, w, df[w], 100 * df[w] / n_posts) for i, w in enumerate(words, 1)],
        [(i, url, url_counts[url]) for i, url in enumerate(urls, 1)],
        [(i, *pair, together[pair], weights[pair]) for i, pair in enumerate(pairs, 1)],
        {
            "tweets": n_posts,
            "skipped": len(in_window) - n_posts,
            "words": len(df),
            "urls": len(url_counts),
        },
    )


def is_between(post: Mapping[str, Any], start: datetime, end: datetime) -> bool:
    created_at = post.get("created_at")
    return isinstance(created_at, datetime) and start <= created_at < end


def strings(urls: Any) -> list[str]:
    urls = [urls] if isinstance(urls, str) else urls or []
    return [url for url in urls if isinstance(url, str)]


def classic_words(text: str) -> set[str]:
    """
    >>> sorted(classic_words("RT @Anna: it's a #Café, https://t.co/Ab"))
    ['ab', 'anna', 'caf', "it's"]
    """
    words = {word.lower() for word in re.findall(r"[A-Za-z']+", text)}
    return {word for word in words if not re.fullmatch("[a-z]", word)} - set(
        CLASSIC_STOP_WORDS.split()
    )


def modern_words(text: str) -> set[str]:
    """
    >>> sorted(modern_words("#Café’s ❤️love covid19 2015 @someone https://t.co/x &amp; a"))
    ['café', 'covid19', 'love']
    """
    # Python reads no number of thousands of digits.
    text = re.sub("&#0+(?=[0-9])", "&#", text)
    text = html.unescape(re.sub("&#[0-9]{8,}", "&#99999999", text))
    text = re.sub(r"https?://t\.co/(?-i:[a-zA-Z0-9])+|https?://\S*", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<![a-zA-Z0-9_])[@＠][a-zA-Z0-9_]+([.@-][a-zA-Z0-9_]+)*", " ", text)
    words = regex.findall(r"[\p{L}\p{N}'][\p{L}\p{M}\p{N}'\u200c\u200d]*", fold(text))
    words = [strip(word.rstrip("\u200c\u200d")) for word in words]
    return {word for word in words if len(word) > 1 and regex.search(r"\p{L}", word)}


def fold(text: str) -> str:
    """
    >>> fold("ＮＡＳＡ’s 1\ufe0f\u20e3")
    "nasa's 1  "
    """
    marks = 0
    kept = []
    for char in text:
        is_mark = unicodedata.category(char)[0] == "M" or char in "\uff9e\uff9f"
        marks = marks + 1 if is_mark else 0
        if marks <= 30:
            kept.append(char)
    text = unicodedata.normalize("NFKC", "".join(kept)).lower()
    text = re.sub("[\u2019\u02bc]", "'", text)
    return re.sub("[\ufe00-\ufe0f\u20e3]", " ", text)


def strip(word: str) -> str:
    """
    >>> strip("'anna's'"), strip("'rock'n'roll's"), strip("''s"), strip("james''s")
    ('anna', "rock'n'roll", 's', 'james')
    """
    return word.strip("'").removesuffix("'s").rstrip("'")


def modern_url(url: str) -> str:
    """
    >>> modern_url("HTTPS://me:pw@Example.COM:443?UTM_Source=x#top")
    'https://example.com/'
    >>> modern_url("http://example.com:8080/A?b=2&&fbclid=y&a=1&c")
    'http://example.com:8080/A?b=2&a=1&c'
    >>> modern_url("ftp://example.com/"), modern_url("http:///x"), modern_url("http://a:b/")
    ('', '', '')
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host += f":{port}"
    names = {part: part.split("=")[0].lower() for part in parts.query.split("&")}
    kept = [
        part
        for part in parts.query.split("&")
        if part and names[part] not in TRACKING and not names[part].startswith("utm_")
    ]
    return f"{parts.scheme}://{host}{parts.path or '/'}" + ("?" + "&".join(kept) if kept else "")
