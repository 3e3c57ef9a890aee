"""The rows of the result tables, which are also their schemas.

To add a table, add a class and its `Table`, and add that to `TABLES`. To add a column to an
existing table, add a field whose type allows None: the column is NULL in rows of older versions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import ClassVar, Protocol, get_args

from dfpipe.errors import DfpipeError

# The GoogleSQL type of a field's type.
SQL_TYPES: dict[object, str] = {
    datetime: "TIMESTAMP",
    int: "INT64",
    str: "STRING",
    float: "FLOAT64",
}


class Row(Protocol):
    """A frozen dataclass with a field for each column; `ts` names the run."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    @property
    def ts(self) -> datetime:
        """Return the identity of the row's run."""


@dataclass(frozen=True, slots=True)
class WordCount:
    """A word and the `count` posts that contain it, `percent` (0..100) of the run's posts."""

    ts: datetime
    rank: int
    word: str
    count: int
    percent: float


@dataclass(frozen=True, slots=True)
class UrlCount:
    """A URL and the `count` posts that carry it."""

    ts: datetime
    rank: int
    url: str
    count: int


@dataclass(frozen=True, slots=True)
class WordCooccur:
    """Two words, w1 < w2, the `count` posts that contain both, and the pair's weight."""

    ts: datetime
    rank: int
    w1: str
    w2: str
    count: int
    log_weight: float


@dataclass(frozen=True, slots=True)
class RisingWord:
    """A word that is in more of the recent posts than of those before.

    `recent` and `before` are numbers of posts, the percents (0..100) are of all recent posts and of
    all before. The score is Dunning's log-likelihood ratio, the p-value of one-sided chance.
    """

    ts: datetime
    rank: int
    word: str
    recent: int
    before: int
    percent_recent: float
    percent_before: float
    score: float
    p_value: float


@dataclass(frozen=True, slots=True)
class RisingPair:
    """Two words, w1 < w2, that are together in more of the recent posts than of those before."""

    ts: datetime
    rank: int
    w1: str
    w2: str
    recent: int
    before: int
    score: float
    p_value: float


@dataclass(frozen=True, slots=True)
class StoryRow:
    """A story: `w1` and `w2`, its leading edge, identify it in its run.

    `words` are the most frequent words of its pairs, joined by spaces; `pairs` is how many it has.
    """

    ts: datetime
    rank: int
    w1: str
    w2: str
    words: str
    posts: int
    users: int
    recent: int
    before: int
    score: float
    p_value: float
    pairs: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class StoryPost:
    """An example of a story's posts, which `copies` of its posts repeat, itself included.

    `story` is the rank of the story in its run.
    """

    ts: datetime
    story: int
    rank: int
    tid: int
    copies: int


@dataclass(frozen=True, slots=True)
class StoryUrl:
    """A URL and the `count` posts of a story that carry it."""

    ts: datetime
    story: int
    rank: int
    url: str
    count: int


@dataclass(frozen=True, slots=True)
class StoryPart:
    """The `count` posts of a story in the part of the window that begins at `part_start`."""

    ts: datetime
    story: int
    part_start: datetime
    count: int


@dataclass(frozen=True, slots=True)
class TimelinePart:
    """The `count` posts of the part of the window that begins at `part_start`."""

    ts: datetime
    part_start: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Run:
    """A complete run: the window's posts, the distinct words and URLs in them, and how it was made.

    `ts` is the window's end, to the second, and names the run. Times are aware and in UTC. Runs
    with the same `settings`, a digest, were made alike; `stop_words` is a digest too. Of its posts
    `posts_cached` came from the cache, and `posts_read` were read from the store. The fields
    that may be None are so in rows that an older version wrote.
    """

    ts: datetime
    window_start: datetime
    window_end: datetime
    tweets: int
    skipped: int
    words: int
    urls: int
    text_mode: str
    runner: str
    version: str
    seconds: float
    languages: str | None = None
    stop_words: str | None = None
    top_words: int | None = None
    top_urls: int | None = None
    top_pairs: int | None = None
    recent_start: datetime | None = None
    recent: int | None = None
    settings: str | None = None
    posts_read: int | None = None
    posts_cached: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The GoogleSQL type of a column and whether it may be NULL."""

    kind: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A result table: its name, the class of its rows and the columns that it is clustered by."""

    name: str
    row: type[Row]
    clustered_by: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Column]:
        """Return the columns by name, in order; those whose field allows None are nullable.

        >>> [(name, column.kind) for name, column in URLS.columns.items()]
        [('ts', 'TIMESTAMP'), ('rank', 'INT64'), ('url', 'STRING'), ('count', 'INT64')]
        """
        return {field.name: _column(field.type) for field in fields(self.row)}

    def transpose(self, rows: Iterable[Row]) -> Sequence[list[object]]:
        """Return the values of the rows column by column."""
        rows = list(rows)
        return [list(map(attrgetter(name), rows)) for name in self.columns]


def _column(hint: object) -> Column:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    return Column(SQL_TYPES[kinds[0]], nullable=bool(get_args(hint)))


WORD_COUNTS = Table("word_counts", WordCount, ("word",))
URLS = Table("urls", UrlCount, ("url",))
WORD_COOCCUR = Table("word_cooccur", WordCooccur, ("w1", "w2"))
RISING_WORDS = Table("rising_words", RisingWord, ("word",))
RISING_PAIRS = Table("rising_pairs", RisingPair, ("w1", "w2"))
STORIES = Table("stories", StoryRow, ("w1", "w2"))
STORY_POSTS = Table("story_posts", StoryPost, ("story",))
STORY_URLS = Table("story_urls", StoryUrl, ("story",))
STORY_TIMELINE = Table("story_timeline", StoryPart, ("story",))
TIMELINE = Table("timeline", TimelinePart)
RUNS = Table("runs", Run)
# In the order of writing: a run is complete once its row in `runs` is there.
TABLES = (
    WORD_COUNTS,
    URLS,
    WORD_COOCCUR,
    RISING_WORDS,
    RISING_PAIRS,
    STORIES,
    STORY_POSTS,
    STORY_URLS,
    STORY_TIMELINE,
    TIMELINE,
    RUNS,
)

TableRows = Mapping[Table, Sequence[Row]]


def in_writing_order(run: Run, rows: TableRows) -> list[tuple[Table, Sequence[Row]]]:
    """Return every table with its rows of the run; a table that is not given has no rows.

    Raises DfpipeError for a row of another run.
    """
    tables = [(table, rows.get(table, ())) for table in TABLES[:-1]]
    for table, given in tables:
        for row in given:
            if row.ts != run.ts:
                raise DfpipeError(
                    f"{table.name}: got a row with ts {row.ts} for the run {run.ts}: a run can "
                    "replace only its own rows"
                )
    return [*tables, (RUNS, [run])]
