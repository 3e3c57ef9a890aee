"""The parts of the cache: hours and their states, tables, sealed files, folders and names."""

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis import parts, ranking, recency
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Reads, tokenize
from dfpipe.errors import UsageError
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices import files, folders, naming
from dfpipe.slices.files import DamagedSliceError
from dfpipe.slices.folder import Folder
from dfpipe.slices.hours import hour_parts, hours_of
from dfpipe.slices.tables import Piece, table_of, token_batches
from dfpipe.times import microseconds
from tests.support.bucket import NAME, serving_bucket
from tests.support.slices import posts_of

START = datetime(2015, 1, 7, 10, tzinfo=UTC)
TOKENIZER = Tokenizer("modern", frozenset({"the"}))
LAST = datetime.max.replace(tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)
VALUES = st.none() | st.integers() | st.lists(st.text(max_size=5), max_size=3)
POSTS = st.lists(
    st.tuples(
        st.text(max_size=40).map(lambda text: f"storm {text}") | VALUES,
        st.lists(st.sampled_from(["http://a.com", "https://b.org/x"]), max_size=2) | VALUES,
        st.text(max_size=3) | VALUES,
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        st.datetimes(datetime(2015, 1, 7), datetime(2015, 1, 7, 20), timezones=st.just(UTC)),
    ),
    max_size=8,
)


def times(*minutes: int) -> Iterator[datetime]:
    return (START + timedelta(minutes=n) for n in minutes)


@pytest.mark.parametrize(
    ("minutes", "n", "expected"),
    [
        ((0, 120), 9, [(0, 60), (60, 120)]),
        ((-30, 90), 9, [(-30, 0), (0, 60), (60, 90)]),
        ((5, 6), 9, [(5, 6)]),
        ((30, 270), 2, [(30, 180), (180, 270)]),
        ((30, 270), 1, [(30, 270)]),
    ],
)
def test_parts(minutes: tuple[int, int], n: int, expected: list[tuple[int, int]]) -> None:
    start, end = times(*minutes)
    found = hour_parts(Window(start, end, START), n)
    assert [(each.start, each.end) for each in found] == [tuple(times(*each)) for each in expected]
    assert {each.since for each in found} == {START}


@given(
    start=st.datetimes(timezones=st.just(UTC)),
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=3)),
    n=st.integers(1, 80),
)
def test_parts_are_whole_hours_that_make_up_the_window(
    start: datetime, length: timedelta, n: int
) -> None:
    end = start + min(length, LAST - start)
    if start == end:
        return
    found = hour_parts(Window(start, end, start), n)
    assert (found[0].start, found[-1].end, len(found) <= n) == (start, end, True)
    for one, other in pairwise(found):
        assert one.end == other.start
        assert one.end == one.end.replace(minute=0, second=0, microsecond=0)


def test_the_ends_of_time() -> None:
    assert len(hours_of(Window(FIRST, LAST, LAST))) == (LAST - FIRST) // timedelta(hours=1) + 1
    assert hour_parts(Window(LAST - timedelta(hours=1), LAST, LAST), 5)[-1].end == LAST


@given(posts=POSTS, more=POSTS)
def test_tables_keep_what_the_analysis_needs(
    posts: list[tuple[object, ...]], more: list[tuple[object, ...]]
) -> None:
    window = Window(*times(-120, 300), START)
    pieces, expected = [], []
    for some in filter(None, (posts, more)):
        pieces.append(piece_of(PostBatch(*zip(*some, strict=True))))  # type: ignore[arg-type]
        for recent in (False, True):
            chosen = [
                each
                for each in some
                if window.start <= each[4] < window.end and (each[4] >= START) == recent
            ]
            if chosen:
                expected.append(tokenize(PostBatch(*zip(*chosen, strict=True)), TOKENIZER, recent))
    found = list(token_batches(pieces, window)) if pieces else []
    assert posts_of(found) == posts_of(expected)
    assert sum((batch.reads for batch in found), Reads()) == Reads(len(posts) + len(more))


def piece_of(batch: PostBatch) -> Piece:
    """Return posts as they are read in the store."""
    at = np.array([microseconds(time) for time in batch.times], np.int64)
    tokens = tokenize(batch, TOKENIZER, is_recent=False, times=at)
    return Piece(table_of(batch, tokens, at), Reads(len(at)), tokens)


def a_file(name: str = "2015-01-07T10-ab.parquet") -> bytes:
    writer = files.Writer()
    for text in ("the storm hits", "paris", None):
        batch = PostBatch([text], [["http://a.com"]], ["anna"], [7], [START])
        writer.add(piece_of(batch).table)
    return writer.finish(name, {"dfpipe.text": "modern"})


def test_a_file_is_read_back() -> None:
    rows = [row for table in files.read(a_file("x"), "x") for row in table.to_pylist()]
    known = {"tid": 7, "created_at": START}
    urls = ["http://a.com/"]
    assert sorted(rows[0].pop("words")) == ["hits", "storm"]
    assert rows == [
        known | {"user": "anna", "urls": urls},
        known | {"user": "anna", "words": ["paris"], "urls": urls},
        known | {"user": None, "words": None, "urls": None},
    ]


def test_every_change_of_a_file_is_noticed() -> None:
    whole = a_file("x")
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        with pytest.raises(DamagedSliceError):
            files.read(bytes(changed), "x")
    for length in range(0, len(whole), 7):
        with pytest.raises(DamagedSliceError, match="^x: the slice is damaged"):
            files.read(whole[:length], "x")
    with pytest.raises(DamagedSliceError, match="^y: the file is another slice"):
        files.read(whole, "y")


def test_other_programs_read_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(a_file())
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT word, count(*) FROM (SELECT unnest(words) AS word FROM '{tmp_path}/*.parquet')"
            " GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert found == [("hits", 1), ("paris", 1), ("storm", 1)]


@pytest.fixture(params=["local", "bucket"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Folder]:
    if request.param == "local":
        yield folders.folder(str(tmp_path / "cache"))
        return
    with serving_bucket() as host:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        yield folders.folder(f"gs://{NAME}/a/cache")


def sizes(folder: Folder) -> dict[str, int]:
    return {file.path: file.size for file in folder.files()}


def test_a_folder(folder: Folder) -> None:
    assert sizes(folder) == {}
    folder.prepare()
    folder.write("ab/one", b"1")
    folder.write("ab/one", b"11")
    folder.write("cd/two", b"222")
    assert sizes(folder) == {"ab/one": 2, "cd/two": 3}
    assert [file.path for file in folder.files("ab")] == ["ab/one"]
    assert all(file.written > START for file in folder.files())
    assert folder.read("ab/one") == b"11"
    with pytest.raises(OSError, match="two"):
        folder.read("ab/two")
    folder.remove(["ab/one", "ab/none"])
    assert sizes(folder) == {"cd/two": 3}


def test_a_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    folder = folders.folder(str(tmp_path / "cache"))
    folder.write("ab/one", b"1")
    assert [f"{path.stat().st_mode & 0o777:o}" for path in (tmp_path / "cache").rglob("*")] == [
        "700",
        "600",
    ]
    folder.remove(["ab/one"])
    assert [*(tmp_path / "cache").iterdir()] == []


@pytest.mark.parametrize(
    ("value", "source", "expected"),
    [
        (None, "sqlite:///p.db?namespace=n", "p.db.cache"),
        (None, "sqlite:////data/p.db", "/data/p.db.cache"),
        (None, "datastore://project", None),
        ("none", "sqlite:///p.db", None),
        ("some/folder/", "datastore://project", "some/folder"),
        ("gs://bucket/folder/", "datastore://project", "gs://bucket/folder"),
    ],
)
def test_what_is_chosen(value: str | None, source: str, expected: str | None) -> None:
    assert folders.chosen(value, source) == expected


@pytest.mark.parametrize("value", ["", "gs://", "gs:///x", "s3://bucket", "file:///x"])
def test_what_is_no_folder(value: str) -> None:
    match = rf"^--cache must be a folder, gs://BUCKET/FOLDER or none \(got {value}\)$"
    with pytest.raises(UsageError, match=match):
        folders.chosen(value, "sqlite:///p.db")


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "p.db.cache").write_text("a file")
    name = f"{tmp_path}/p.db.cache"
    folders.prepare(name, f"sqlite:///{tmp_path}/p.db")  # as if it were for reading only
    with pytest.raises(UsageError, match=rf"^--cache={name} cannot be used: "):
        folders.prepare(name, "sqlite:///other.db")


def test_folders_of_other_settings() -> None:
    reading = Reading("sqlite:///p.db", "modern", frozenset({"the"}))
    others = [
        Reading("sqlite:///q.db", "modern", frozenset({"the"})),
        Reading("sqlite:///p.db?namespace=n", "modern", frozenset({"the"})),
        Reading("datastore://p", "modern", frozenset({"the"})),
        Reading("sqlite:///p.db", "classic", frozenset({"the"})),
        Reading("sqlite:///p.db", "modern", frozenset({"the", "a"})),
    ]
    names = {naming.folder_of(each) for each in (reading, *others)}
    assert len(names) == 6
    absolute = Reading(f"sqlite:///{Path('p.db').resolve()}", "modern", frozenset({"the"}), "cache")
    assert naming.folder_of(absolute) == naming.folder_of(reading)


def test_the_makers_are_all_that_takes_words_from_posts() -> None:
    """If text.py or tokenizing.py come to use another module, MAKERS must have it."""
    makers = [import_module(name) for name in naming.MAKERS]
    known = {*makers, parts, ranking, recency}
    used = {
        inspect.getmodule(value)
        for maker in makers
        for value in vars(maker).values()
        if isinstance(value, ModuleType) or callable(value)
    }
    ours = {each for each in used if each and each.__name__.startswith("dfpipe.analysis")}
    assert ours <= known
