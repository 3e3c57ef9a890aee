"""Rising words, rising pairs and stories once more, by brute force and without a line of dfpipe.

It follows the definition step by step, post by post, on top of the oracle of the other tables.
Rows are tuples in the order of the tables' columns, without `ts`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from tests import oracle

Row = tuple[Any, ...]
Edge = tuple[str, str]


@dataclass
class Stories:
    """The rows of the tables of stories and timelines, and what a run says of recent posts."""

    recent_start: datetime
    recent: int
    rising_words: list[Row]
    rising_pairs: list[Row]
    stories: list[Row] = field(default_factory=list)
    story_posts: list[Row] = field(default_factory=list)
    story_urls: list[Row] = field(default_factory=list)
    story_timeline: list[Row] = field(default_factory=list)
    timeline: list[Row] = field(default_factory=list)


@dataclass
class Group:
    """Edges whose posts are largely the same, and the posts that were assigned to them."""

    edges: list[Edge]
    covered: set[int]
    posts: list[int] = field(default_factory=list)


def analyse(
    posts: Iterable[Mapping[str, Any]],
    end: datetime,
    days: float = 4,
    text_mode: str = "modern",
    stop_words: Iterable[str] = (),
    top_pairs: int = 300,
    recent: float = 24,
    top_rising: int = 100,
    top_stories: int = 50,
    story_users: int = 2,
) -> Stories:
    """Find what is rising in the posts of a window, and its stories."""
    start = end - timedelta(days=days)
    since = end - timedelta(hours=recent)
    posts = [
        post
        for post in posts
        if oracle.is_between(post, start, end) and isinstance(post.get("text"), str)
    ]
    sets = _word_sets([post["text"] for post in posts], text_mode, stop_words)
    is_recent = [post["created_at"] >= since for post in posts]
    n = len(posts)
    n1 = sum(is_recent)
    n0 = n - n1

    df = Counter(word for words in sets for word in words)
    together = Counter(pair for words in sets for pair in combinations(sorted(words), 2))
    recent_sets = [words for words, now in zip(sets, is_recent, strict=True) if now]
    df1 = Counter(word for words in recent_sets for word in words)
    together1 = Counter(pair for words in recent_sets for pair in combinations(sorted(words), 2))

    # Words, then pairs
    v = len(df)
    scores = {word: score(df1[word], df[word] - df1[word], n1, n0) for word in df1}
    ranked = sorted((w for w in scores if scores[w] > 0), key=lambda w: (-scores[w], w))
    words = [w for w in ranked[:top_rising] if p_value(scores[w], v) < 0.01]
    pair_scores = {
        pair: score(together1[pair], together[pair] - together1[pair], n1, n0) for pair in together1
    }
    rising = [pair for pair in pair_scores if pair_scores[pair] > 0]
    rising.sort(key=lambda pair: (-pair_scores[pair], *pair))
    tests = v * (v - 1) // 2
    rising = [p for p in rising[:top_pairs] if p_value(pair_scores[p], tests) < 0.01]

    # Edges
    weights = {
        (w1, w2): both * math.log(n / max(df[w1], df[w2])) for (w1, w2), both in together.items()
    }
    heavy = [pair for pair in weights if weights[pair] != 0]
    heavy.sort(key=lambda pair: (-weights[pair], *pair))
    edges = sorted({*heavy[:top_pairs], *rising}, key=lambda pair: (-weights[pair], *pair))

    result = Stories(
        recent_start=since,
        recent=n1,
        rising_words=[
            (
                *(rank, w, df1[w], df[w] - df1[w]),
                *(100 * df1[w] / n1, 100 * (df[w] - df1[w]) / n0),
                *(scores[w], p_value(scores[w], v)),
            )
            for rank, w in enumerate(words, 1)
        ],
        rising_pairs=[
            (
                *(rank, *p, together1[p], together[p] - together1[p]),
                *(pair_scores[p], p_value(pair_scores[p], tests)),
            )
            for rank, p in enumerate(rising, 1)
        ],
    )
    result.timeline = _timeline([post["created_at"] for post in posts], start, end)
    kept = _kept(_groups(edges, sets), posts, story_users)
    named = [(_name(group, sets), group) for group in kept]
    named.sort(key=lambda one: (-len(one[1].posts), one[0], one[1].edges[0]))
    for rank, (name, group) in enumerate(named[:top_stories], 1):
        _tell(result, rank, name, group, len(kept), posts, sets, is_recent, start, end, text_mode)
    return result


def score(a: int, b: int, n1: int, n0: int) -> float:
    """
    >>> score(5, 0, 10, 90) > score(5, 1, 10, 90) > 0 > score(0, 50, 10, 90)
    True
    >>> score(1, 9, 10, 90), score(0, 7, 0, 90), score(7, 0, 90, 0)
    (0.0, 0.0, 0.0)
    """
    n, r = n1 + n0, a + b

    def f(o: int, c: int) -> float:
        return 0.0 if o == 0 else o * math.log(o * n / c)

    g = 2 * (f(a, n1 * r) + f(b, n0 * r) + f(n1 - a, n1 * (n - r)) + f(n0 - b, n0 * (n - r)))
    g = max(g, 0.0)
    return g if a * n0 > b * n1 else -g if a * n0 < b * n1 else 0.0


def p_value(g: float, tests: int) -> float:
    return min(1, tests * math.erfc(math.sqrt(g / 2)) / 2)


def _word_sets(texts: Iterable[str], mode: str, stop_words: Iterable[str]) -> list[set[str]]:
    if mode == "classic":
        return [oracle.classic_words(text) for text in texts]
    stops = {oracle.strip(oracle.fold(word)) for word in stop_words}
    return [oracle.modern_words(text) - stops for text in texts]


def _groups(edges: Sequence[Edge], sets: Sequence[set[str]]) -> list[Group]:
    """Group the edges, then assign every post that has one."""
    posts_of: dict[str, set[int]] = defaultdict(set)
    for i, words in enumerate(sets):
        for word in words:
            posts_of[word].add(i)
    groups: list[Group] = []
    edges_of: dict[int, list[int]] = defaultdict(list)  # of each post, the numbers of their groups
    for w1, w2 in edges:
        at = posts_of[w1] & posts_of[w2]
        similar = (i for i, group in enumerate(groups) if 2 * len(at & group.covered) >= len(at))
        number = next(similar, len(groups))
        if number == len(groups):
            groups.append(Group([], set()))
        groups[number].edges.append((w1, w2))
        groups[number].covered |= at
        for post in at:
            edges_of[post].append(number)
    for post, numbers in edges_of.items():
        most = Counter(numbers)
        groups[min(most, key=lambda number: (-most[number], number))].posts.append(post)
    return groups


def _kept(groups: Iterable[Group], posts: Sequence[Mapping[str, Any]], users: int) -> list[Group]:
    return [g for g in groups if len(g.posts) >= 3 and len(_users(g, posts)) >= users]


def _users(group: Group, posts: Sequence[Mapping[str, Any]]) -> set[str]:
    users = [posts[i].get("user") for i in group.posts]
    return {user for user in users if isinstance(user, str)}


def _name(group: Group, sets: Sequence[set[str]]) -> str:
    words = {word for edge in group.edges for word in edge}
    counts = Counter(word for i in group.posts for word in words & sets[i])
    return " ".join(sorted(counts, key=lambda word: (-counts[word], word))[:8])


def _tell(
    result: Stories,
    rank: int,
    name: str,
    group: Group,
    tests: int,
    posts: Sequence[Mapping[str, Any]],
    sets: Sequence[set[str]],
    is_recent: Sequence[bool],
    start: datetime,
    end: datetime,
    text_mode: str,
) -> None:
    """Add a story's rows to the tables."""
    n1 = sum(is_recent)
    n0 = len(posts) - n1
    times = [posts[i]["created_at"] for i in group.posts]
    a = sum(is_recent[i] for i in group.posts)
    b = len(group.posts) - a
    g = score(a, b, n1, n0)
    result.stories.append(
        (
            *(rank, *group.edges[0], name, len(times), len(_users(group, posts)), a, b, g),
            *(p_value(g, tests) if g > 0 else 1.0, len(group.edges), min(times), max(times)),
        )
    )

    copies: dict[frozenset[str], list[tuple[datetime, int]]] = defaultdict(list)
    for i in group.posts:
        copies[frozenset(sets[i])].append((posts[i]["created_at"], posts[i]["tid"]))
    largest = sorted((-len(alike), *min(alike)) for alike in copies.values())[:5]
    for i, (minus_copies, _, tid) in enumerate(largest, 1):
        result.story_posts.append((rank, i, tid, -minus_copies))

    urls = Counter(url for i in group.posts for url in _urls(posts[i].get("urls"), text_mode))
    for i, url in enumerate(sorted(urls, key=lambda url: (-urls[url], url))[:5], 1):
        result.story_urls.append((rank, i, url, urls[url]))

    result.story_timeline += [(rank, *part) for part in _timeline(times, start, end)]


def _timeline(times: Iterable[datetime], start: datetime, end: datetime) -> list[Row]:
    parts = Counter(96 * (time - start) // (end - start) for time in times)
    return [(start + part * (end - start) / 96, parts[part]) for part in sorted(parts)]


def _urls(value: Any, mode: str) -> set[str]:
    if mode == "classic":
        return {url.lower() for url in oracle.strings(value)}
    return {oracle.modern_url(url) for url in oracle.strings(value)} - {""}
