"""The stories of a window: pairs of words that are largely in the same posts, and these posts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from heapq import nsmallest
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dfpipe.analysis import copies, rising
from dfpipe.analysis.copies import Largest, merge_largest
from dfpipe.analysis.edges import Edge, EdgeIndex, EdgePosts, EdgeSet, edges_of
from dfpipe.analysis.parts import PARTS, Parts
from dfpipe.analysis.ranking import Counted, Ints, top_counts
from dfpipe.analysis.recency import Sizes, recent, total, unit

AnyInts = npt.NDArray[np.integer[Any]]
LEAST_POSTS = 3
NAMED = 8  # words of a story's name
EXAMPLES = 5
LINKS = 5


@dataclass(frozen=True)
class Grouping:
    """The edges of a window, the group of each, and the groups that have enough posts."""

    edges: Sequence[Edge]
    groups: Sequence[int]
    large: frozenset[int]

    @cached_property
    def leading(self) -> dict[int, Edge]:
        """The edge that began each group."""
        return {g: self.edges[i] for i, g in reversed(list(enumerate(self.groups)))}

    @cached_property
    def words(self) -> set[tuple[int, str]]:
        """The words of each group's edges."""
        pairs = zip(self.groups, self.edges, strict=True)
        return {(group, word) for group, edge in pairs for word in edge}

    def group_of(self, edges: EdgeSet) -> int:
        """Return the group that most of a post's edges are in; of several the one made first."""
        found = Counter(self.groups[edge] for edge in edges)
        return min(found, key=lambda group: (-found[group], group))


def grouped(edges: Sequence[Edge], sets: Iterable[Counted]) -> Grouping:
    """Group edges, given each distinct set of edges that posts have with the number of the posts.

    An edge joins the first group with at least half of its posts, or else begins one.
    """
    posts = {edges_of(key): n for key, n in sets}
    having: defaultdict[int, list[EdgeSet]] = defaultdict(list)
    for edge_set in posts:
        for edge in edge_set:
            having[edge].append(edge_set)
    covering: dict[EdgeSet, tuple[int, ...]] = dict.fromkeys(posts, ())
    groups: list[int] = []
    made = 0
    for edge in range(len(edges)):
        shared: Counter[int] = Counter()
        for edge_set in having[edge]:
            for group in covering[edge_set]:
                shared[group] += posts[edge_set]
        size = sum(posts[edge_set] for edge_set in having[edge])
        joined = min((group for group, n in shared.items() if 2 * n >= size), default=made)
        made = max(made, joined + 1)
        groups.append(joined)
        for edge_set in having[edge]:
            if joined not in covering[edge_set]:
                covering[edge_set] += (joined,)
    return _with_large(Grouping(edges, groups, frozenset()), posts)


def _with_large(grouping: Grouping, posts: dict[EdgeSet, int]) -> Grouping:
    sizes: Counter[int] = Counter()
    for edge_set, n in posts.items():
        sizes[grouping.group_of(edge_set)] += n
    large = frozenset(group for group, n in sizes.items() if n >= LEAST_POSTS)
    return Grouping(grouping.edges, grouping.groups, large)


@dataclass(frozen=True, slots=True)
class PostFacts:
    """Facts on the stories of some posts.

    `texts` are counts of `recency` that add up: see `Fact`. `copies` are as in copies.py.
    """

    texts: list[Counted]
    copies: Ints


class Fact(NamedTuple):
    """How many posts of a group have a user, link, word or part of the window.

    Of the users of several posts there is one Fact without their names, where `posts` is how many
    they are.
    """

    kind: str  # USER, LINK, WORD or PART
    group: int
    name: str
    posts: int  # a count of `recency`


USER, LINK, WORD, PART = "user", "link", "word", "part"


class FactFinder:
    """Finds facts on the stories that posts belong to, in the parts of the window."""

    def __init__(self, grouping: Grouping, parts: Parts) -> None:
        self._grouping = grouping
        self._parts = parts
        self._words = EdgeIndex(grouping.edges).words
        self._group_of = cache(lambda key: self._large_group_of(edges_of(key)))

    def _large_group_of(self, edges: EdgeSet) -> int:
        group = self._grouping.group_of(edges)
        return group if group in self._grouping.large else -1

    def facts_of(self, posts: EdgePosts) -> PostFacts:
        """Return the facts on posts that belong to large enough groups."""
        group = np.fromiter(map(self._group_of, posts.keys()), np.int64, len(posts.tids))
        kept = np.flatnonzero(group >= 0)
        one = unit(posts.is_recent)
        parts = self._parts.of(posts.times)
        texts = chain(
            _texts(USER, group, posts.users.lengths, posts.users.indices, posts.users.words, one),
            _texts(LINK, group, posts.urls.lengths, posts.urls.indices, posts.urls.words, one),
            _texts(WORD, group, posts.word_counts, posts.words, self._words, one),
            _texts(PART, group, np.ones_like(group), parts, range(PARTS), one),
        )
        rows = copies.copies(posts.digests[kept], group[kept], posts.times[kept], posts.tids[kept])
        return PostFacts(list(texts), copies.merged([rows]))


def _texts(
    kind: str, group: Ints, lengths: AnyInts, places: AnyInts, names: Sequence[object], unit: int
) -> Iterator[Counted]:
    """Give for each group the names that its posts have, as the text of a fact, and how many do."""
    of_place = np.repeat(group, lengths)
    codes = of_place[of_place >= 0] * len(names) + places[of_place >= 0]
    distinct, counts = np.unique(codes, return_counts=True)
    for code, n in zip(distinct.tolist(), counts.tolist(), strict=True):
        yield f"{kind}\n{code // len(names)}\n{names[code % len(names)]}", n * unit


def facts(texts: Iterable[Counted]) -> list[Fact]:
    """Read the texts of facts, each given once; of users and links keep what a story shows."""
    users: Counter[int] = Counter()
    links: defaultdict[int, dict[str, int]] = defaultdict(dict)
    others = []
    for text, n in texts:
        kind, group_text, name = text.split("\n", 2)
        group = int(group_text)
        if kind == USER:
            users[group] += 1
        elif kind == LINK:
            links[group][name] = total(n)
        else:
            others.append(Fact(kind, group, name, n))
    return [
        *others,
        *(Fact(USER, group, "", n) for group, n in users.items()),
        *(
            Fact(LINK, group, url, n)
            for group, counts in links.items()
            for url, n in top_counts(counts, LINKS)
        ),
    ]


@dataclass(frozen=True, slots=True)
class Story:
    """A story: how its rows say it, but for their rank.

    `w1` and `w2` are its leading edge. Times are in microseconds of the Unix epoch. `examples` are
    the ids of posts with the number of their copies; `timeline` has the posts of each part of the
    window that has any.
    """

    w1: str
    w2: str
    words: str
    posts: int
    users: int
    recent: int
    score: float
    p_value: float
    pairs: int
    first_seen: int
    last_seen: int
    examples: Sequence[tuple[int, int]]
    urls: Sequence[Counted]
    timeline: Sequence[tuple[int, int]]


def stories(
    grouping: Grouping,
    facts: Iterable[Fact],
    largest: Sequence[Largest],
    sizes: Sizes,
    k: int,
    least_users: int,
) -> list[Story]:
    """Return the k first stories, of those with so many users, by (-posts, words, leading edge).

    The facts and the largest copies are those of all shards.
    """
    known = _by_group(facts)
    kept = [group for group in known if known[group].users >= least_users]
    alike = merge_largest(largest, EXAMPLES)
    spans = {group: (first, last) for group, first, last in alike.spans.tolist()}
    examples: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in alike.rows.tolist():
        examples[row[copies.GROUP]].append((row[copies.TID], row[copies.COPIES]))
    ranked = (
        _story(grouping, group, known[group], sizes, len(kept), spans[group], examples[group])
        for group in kept
    )
    return nsmallest(k, ranked, key=lambda story: (-story.posts, story.words, story.w1, story.w2))


@dataclass(slots=True)
class _Known:
    """The facts of a group: distinct users, and counts of `recency` by name."""

    users: int = 0
    links: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    parts: Counter[int] = field(default_factory=Counter)


def _by_group(facts: Iterable[Fact]) -> dict[int, _Known]:
    known: defaultdict[int, _Known] = defaultdict(_Known)
    for fact in facts:
        of_group = known[fact.group]
        if fact.kind == USER:
            of_group.users += fact.posts
        elif fact.kind == LINK:
            of_group.links[fact.name] += fact.posts
        elif fact.kind == WORD:
            of_group.words[fact.name] += fact.posts
        else:
            of_group.parts[int(fact.name)] += fact.posts
    return known


def _story(
    grouping: Grouping,
    group: int,
    known: _Known,
    sizes: Sizes,
    kept: int,
    span: tuple[int, int],
    examples: Sequence[tuple[int, int]],
) -> Story:
    w1, w2 = grouping.leading[group]
    words = {w: total(n) for w, n in known.words.items() if (group, w) in grouping.words}
    posts = known.parts.total()
    score = rising.score(posts, sizes)
    return Story(
        w1=w1,
        w2=w2,
        words=" ".join(word for word, _ in top_counts(words, NAMED)),
        posts=total(posts),
        users=known.users,
        recent=recent(posts),
        score=score,
        p_value=rising.p_value(score, kept),
        pairs=grouping.groups.count(group),
        first_seen=span[0],
        last_seen=span[1],
        examples=examples,
        urls=top_counts(known.links, LINKS),
        timeline=[(part, total(n)) for part, n in sorted(known.parts.items())],
    )
