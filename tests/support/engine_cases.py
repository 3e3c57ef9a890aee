"""Posts, and options of a run, for which every engine must give the same tables."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.support.analysis import END

MINUTE = timedelta(minutes=1)
WINDOW = timedelta(days=4)
ODD_WORDS = (
    "Café",
    "cafe\u0301",
    "it's",
    "RT",
    "@anna",
    "the",
    "ＮＡＳＡ",
    "x",
    "'tis",
    "<b>",
    "&amp;",
)
ODD_URLS = ("http://A.com/#top", "https://b.org/x?utm_source=y", "Http://c.net:80", "ftp://no", "")
DAYS_OF_ALL = 7_000  # from before the first post of the archives


@dataclass(frozen=True)
class Case:
    """Posts, or the archives that they are imported from, and how they are analysed."""

    name: str
    posts: tuple[Mapping[str, Any], ...] = ()
    archives: str = ""  # a pattern in the folder of real posts
    text: str = "modern"
    top: tuple[int, int, int] = (500, 300, 300)  # words, URLs, pairs
    end: datetime = END
    days: int = WINDOW.days
    more: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        """The options of `dfpipe run`, but for the ends and the engine."""
        tops = zip(("words", "urls", "pairs"), self.top, strict=True)
        return [
            *(f"--until={self.end.isoformat()}", f"--days={self.days}", f"--text={self.text}"),
            *(f"--top_{what}={n}" for what, n in tops),
            *self.more,
        ]


def name_of(case: Case) -> str:
    return case.name


def random_posts(seed: int, number: int) -> Iterator[dict[str, Any]]:
    """Posts in and around the window; some have no text, or what is none; some are very alike."""
    chance = random.Random(seed)
    vocabulary = [*ODD_WORDS, *(f"word{n}" for n in range(number // 4))]
    often = [1 / (n + 1) for n in range(len(vocabulary))]
    hosts = [*ODD_URLS, *(f"https://{n}.example.com/{n % 3}" for n in range(number // 50))]
    edges = [END, END - WINDOW, END - MINUTE, END - WINDOW - MINUTE]
    for n in range(1, number + 1):
        within = END - (WINDOW + MINUTE) * chance.random()
        post: dict[str, Any] = {
            "tid": 2**53 + 2 * n + 1,
            "user": f"user{chance.randrange(9)}",
            "created_at": chance.choice(edges) if chance.random() < 0.02 else within,
        }
        text: Any = " ".join(chance.choices(vocabulary, often, k=chance.randrange(16)))
        post["text"] = chance.choice([None, n]) if chance.random() < 0.02 else text
        if chance.random() < 0.3:
            post["urls"] = chance.choices(hosts, k=chance.randrange(4))
        if chance.random() < 0.02:
            del post["text"]
        yield post


def _posts(*texts: str, urls: tuple[str, ...] = ()) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"tid": n, "user": "anna", "text": text, "created_at": END - n * MINUTE, "urls": list(urls)}
        for n, text in enumerate(texts, 1)
    )


# Every word, link and pair has the count of the one at the last rank.
_TIED = _posts(
    *(f"even{n} odd{n} same{n}" for n in range(40)), urls=tuple(f"http://{n}.de/" for n in range(9))
)


def burst_posts(seed: int) -> Iterator[dict[str, Any]]:
    """Random posts, and two events: one of the last hours and one of the day before.

    Their posts repeat one another, in ties too, and carry links.
    """
    yield from random_posts(seed, 1_500)
    chance = random.Random(seed)
    events = (("storm harbour flood", 3), ("hostage market siege", 3 + 24))
    for at, (words, hours) in enumerate(events):
        for n in range(90):
            rest = chance.choice(["", "boats", "police", f"word{n}"])
            yield {
                "tid": 2**54 + 1_000 * at + n,
                "user": f"witness{n % 40}",
                "created_at": END - timedelta(hours=hours) - (n // 2) * MINUTE,
                "text": f"{words} {rest}",
                "urls": [f"https://news{n % 7}.example.com/{at}"],
            }


_LONG = " ".join(f"long{n}" for n in range(900))
_WORDS = [f"word{n}" for n in range(4_000)]
_ANY = random.Random(5)

CASES = (
    Case("real-modern", archives="tweets_4day.jsonl.xz"),
    Case("real-classic", archives="tweets_4day.jsonl.xz", text="classic"),
    Case(
        "every-archive",
        archives="**/*.js*",
        end=END.replace(year=END.year + 12),
        days=DAYS_OF_ALL,
    ),
    Case("random-modern", tuple(random_posts(1, 3_000)), top=(50, 20, 90)),
    Case("random-classic", tuple(random_posts(2, 3_000)), text="classic", top=(50, 20, 90)),
    Case("random-one-slice", tuple(random_posts(3, 500)), more=("--slices=1", "--shards=1")),
    Case("bursts-modern", tuple(burst_posts(6)), top=(50, 20, 90)),
    Case("bursts-classic", tuple(burst_posts(7)), text="classic", top=(50, 20, 90)),
    # Words beyond the candidates may be in a ranked pair: pairs are counted anew, of all words or
    # of those that reach the last rank of the first time.
    Case("second-pass-of-all", tuple(random_posts(4, 2_000)), more=("--pair-candidates=3",)),
    Case(
        "second-pass-of-some",
        tuple(random_posts(4, 2_000)),
        top=(50, 20, 20),
        more=("--pair-candidates=12",),
    ),
    # Too many words to have a number for each of their pairs: long posts go to the shards whole.
    Case(
        "second-pass-of-long-posts",
        _posts(*(" ".join(_ANY.sample(_WORDS, n)) for n in (400, 3, 40) for _ in range(20))),
        more=("--pair-candidates=2",),
    ),
    Case("no-posts"),
    Case("empty-window", _posts("storm over the harbour"), end=END - timedelta(days=900)),
    Case("one-post", _posts("storm over the harbour", urls=("http://a.com",))),
    Case("ties-at-the-last-rank", _TIED, top=(7, 4, 5)),
    Case("long-post", _posts(_LONG, "long7 long8 storm", "storm"), top=(500, 300, 2_000)),
)
