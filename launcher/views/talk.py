"""The rankings of a run as lists: made from the answers to named queries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dfpipe.warehouse.named_queries import ResultRow
from launcher.views.figures import times_text
from launcher.views.results import Question
from launcher.views.stories import web_address

SHOWN = 10  # rows of a card; its own page has all
POPULAR = 25  # a word of a lower rank is not among the popular
# What "new" is compared with: hours for the queries, and texts for people.
SPANS = {6: "6 hours", 24: "a day", 72: "3 days", 168: "a week"}
DEFAULT_SPAN = 24


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a card. `words` and `host` lead to their pages, `url` out of here.

    `share`, 0 to 100, is the length of its bar.

    `note` says more of the value, for those who point at it and for those who hear it.
    """

    words: tuple[str, ...] = ()
    url: str = ""
    host: str = ""
    text: str = ""
    value: str = ""
    note: str = ""
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Card:
    """A list of the page: what it answers, its first lines, and how many there are."""

    name: str
    title: str
    hint: str
    lines: tuple[Line, ...]
    total: int
    empty: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a query's rows become lines. `weight` is the column that bars are drawn from."""

    title: str
    hint: str
    weight: str
    line: Callable[[ResultRow], Line]
    empty: str = "Nothing in this run."
    is_recent: bool = False


def _posts(count: int) -> str:
    return f"{count:,} post" if count == 1 else f"{count:,} posts"


def _word(row: ResultRow) -> Line:
    return Line(
        words=(row["word"],),
        value=f"{row['percent']:.2f} %",
        note=f"in {_posts(row['count'])}",
    )


def _rise(row: ResultRow) -> Line:
    was = f"{row['recent']:,} recent posts, {row['before']:,} before; score {row['score']:,.0f}"
    return Line(value="new" if row["times"] is None else f"×{times_text(row['times'])}", note=was)


def _rising_word(row: ResultRow) -> Line:
    return replace(_rise(row), words=(row["word"],))


def _pair(row: ResultRow) -> Line:
    return Line(
        words=(row["w1"], row["w2"]),
        value=f"{row['log_weight']:,.1f}",
        note=f"together in {_posts(row['count'])}",
    )


def _rising_pair(row: ResultRow) -> Line:
    return replace(_rise(row), words=(row["w1"], row["w2"]))


def _count(row: ResultRow) -> Line:
    note = "post" if row["count"] == 1 else "posts"
    return Line(value=f"{row['count']:,}", note=note)


def _url(row: ResultRow) -> Line:
    return replace(_count(row), url=web_address(row["url"]), text=row["url"])


def _count_of_pair(row: ResultRow) -> Line:
    return replace(_count(row), words=(row["w1"], row["w2"]))


def _host(row: ResultRow) -> Line:
    return Line(
        host=row["host"],
        value=f"{row['count']:,}",
        note=f"by {row['urls']:,} ranked link{'' if row['urls'] == 1 else 's'}",
    )


def _count_of_word(row: ResultRow) -> Line:
    return replace(_count(row), words=(row["word"],))


WORDS_OF_POSTS = Kind("Words", "in how many of these posts", "count", _count_of_word)
STORY_PAIRS = Kind("Pairs", "in how many posts of the run", "count", _count_of_pair)
KINDS: Mapping[str, Kind] = {
    "popular_words": Kind("Popular words", "in how many of the posts", "percent", _word),
    "interesting_pairs": Kind(
        "Interesting pairs",
        "words that are often together, weighted by how rare they are",
        "log_weight",
        _pair,
    ),
    "emerging_pairs": Kind(
        "Emerging pairs",
        "ranked now, and in no earlier run",
        "log_weight",
        _pair,
        "Nothing new.",
        is_recent=True,
    ),
    "rising_pairs": Kind(
        "Rising pairs",
        "how much larger their share of the recent posts is",
        "score",
        _rising_pair,
        "Nothing is rising.",
    ),
    "rising_words": Kind(
        "Rising words",
        "how much larger their share of the recent posts is",
        "score",
        _rising_word,
        "Nothing is rising.",
    ),
    "top_hosts": Kind("Top hosts", "how often posts have a ranked link there", "count", _host),
    "top_urls": Kind("Top links", "in how many posts", "count", _url),
    "popular_not_interesting": Kind(
        "Popular, not interesting", "in many posts, but in no interesting pair", "percent", _word
    ),
}
CONTRAST = "popular_not_interesting"
# On the page of a run; the others have only pages of their own.
CARDS = ("rising_words", "popular_words", "interesting_pairs", "top_urls")


def question(name: str, span: int) -> Question:
    """A named query with the parameters that the page asks it with, besides the run."""
    return name, ({"since": span} if KINDS[name].is_recent else {})


def card(asked: Question, rows: Sequence[ResultRow], shown: int = SHOWN) -> Card:
    """The card of a query's rows, with no more than so many lines; rises have their `times`."""
    name, params = asked
    kind = KINDS[name]
    found = lines(kind, rows[:shown])
    return Card(name, kind.title, kind.hint, found, len(rows), kind.empty, params)


def lines(kind: Kind, rows: Sequence[ResultRow]) -> tuple[Line, ...]:
    """The rows of a list as its lines, with bars beside the longest."""
    top = max((row[kind.weight] for row in rows), default=0) or 1
    return tuple(
        replace(kind.line(row), share=max(0.0, 100 * row[kind.weight] / top)) for row in rows
    )


def cards(rankings: Mapping[str, Sequence[ResultRow]]) -> list[Card]:
    """The short lists of the page of a run."""
    return [card((name, {}), rankings[name]) for name in CARDS]


def contrast(rankings: Mapping[str, Sequence[ResultRow]]) -> list[Card]:
    """What is popular and not interesting, and what is interesting and not popular."""
    words, pairs = rankings["popular_words"], rankings["interesting_pairs"]
    paired = {word for row in pairs for word in (row["w1"], row["w2"])}
    alone = [row for row in words if row["word"] not in paired]
    return [card((CONTRAST, {}), alone, len(alone)), interesting_not_popular(words, pairs)]


def interesting_not_popular(words: Iterable[ResultRow], pairs: Sequence[ResultRow]) -> Card:
    """The words of interesting pairs that are not among the popular, by their best pair."""
    ranks = {row["word"]: row["rank"] for row in words}
    found: dict[str, ResultRow] = {}
    for row in pairs:
        for word in (row["w1"], row["w2"]):
            if ranks.get(word, POPULAR + 1) > POPULAR:
                found.setdefault(word, row)
    top = pairs[0]["log_weight"] if pairs else 1
    lines = tuple(
        Line(
            words=(word,),
            value=f"rank {ranks[word]:,}" if word in ranks else "unranked",
            note=f"by posts; in the pair {row['w1']} + {row['w2']}, number {row['rank']}",
            share=100 * row["log_weight"] / top,
        )
        for word, row in found.items()
    )
    return Card(
        "",
        "Interesting, not popular",
        f"in interesting pairs, but not among the {POPULAR} words of most posts",
        lines,
        len(found),
        "Nothing in this run.",
        {},
    )
