"""Posts between archives and the embedded store, in one process."""

import doctest
import errno
import gzip
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.commands import import_report
from dfpipe.datastore import connect
from dfpipe.errors import DfpipeError, UsageError
from dfpipe.files import write_whole
from dfpipe.posts import exporting, importing, scanning, storing
from dfpipe.posts.formats.own import post_line
from dfpipe.posts.formats.result import ArchiveError
from dfpipe.posts.importing import Report, Skipped
from dfpipe.posts.post import KIND, Post, from_entity, to_entity
from tests.support.car_files import car
from tests.support.format_corpus import parquet_bytes

DAY = datetime(2020, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2261, 12, 31), timezones=st.just(UTC))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    with closing(connect(f"sqlite:///{tmp_path}/posts.db")) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def line(tid: int, text: str = "x", **changes: Any) -> bytes:
    record = {"tid": tid, "user": "a", "text": text, "created_at": "2020-01-01T00:00:00Z"}
    return json.dumps(record | changes).encode() + b"\n"


def deletion(tid: int) -> bytes:
    return json.dumps({"delete": {"status": {"id_str": str(tid)}}}).encode() + b"\n"


def do_import(client: Any, *names: str, stdin: bytes = b"", **options: Any) -> Report:
    with importing.sources(names, io.BytesIO(stdin)) as archives:
        scanned = scanning.scan(archives, strict=options.pop("strict", False))
        return importing.store(archives, scanned, client, lambda: DAY, **options)


def posts(client: Any) -> dict[int, Post]:
    return {entity.key.id: from_entity(entity) for entity in client.query(kind=KIND).fetch()}


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestImport:
    def test_a_second_time_changes_nothing(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"".join(line(tid) for tid in range(1, 1202)) + line(7))
        assert do_import(client, "a") == Report(read=1202, stored=1201, seen=1)
        before = posts(client)
        assert do_import(client, "a") == Report(read=1202, seen=1202)
        assert posts(client) == before
        assert len(before) == 1201

    def test_every_record_is_counted_once(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(line(1) + b"broken\n" + deletion(9) + line(1) + line(0) * 7)
        skipped = {
            "broken JSON": Skipped(1, ["a:2"]),
            "id is not between 1 and 2**63 - 1": Skipped(7, [f"a:{n}" for n in range(5, 10)]),
        }
        expected = Report(read=11, stored=1, seen=1, deleted=1, skipped=skipped)
        assert do_import(client, "a") == expected

    def test_a_page_on_one_line_is_one_place(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"[5, 6]\n" + line(1) + b"7\n")
        skipped = {"in no known format": Skipped(3, ["a:1", "a:3"])}
        assert do_import(client, "a") == Report(read=4, stored=1, skipped=skipped)

    def test_a_longer_text_replaces_a_shorter_one(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(line(1, "cut") + line(1, "cut no more") + line(1, "cut"))
        assert do_import(client, "a") == Report(read=3, stored=1, replaced=1, seen=1)
        assert posts(client)[1].text == "cut no more"
        assert do_import(client, "a") == Report(read=3, seen=3)
        Path("b").write_bytes(line(1, "cut no more at all") + line(1, "x" * 18))
        assert do_import(client, "b") == Report(read=2, replaced=1, seen=1)
        assert posts(client)[1].text == "cut no more at all"

    def test_a_stored_post_without_a_text_is_replaced(self, client: Any, folder: Path) -> None:
        entity = to_entity(Post(1, "a", "", DAY), client, DAY)
        entity["text"] = None
        client.put(entity)
        Path("a").write_bytes(line(1, ""))
        assert do_import(client, "a") == Report(read=1, replaced=1)

    def test_deletions_count_wherever_they_stand(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"".join(line(tid) for tid in (1, 2, 3, 4)))
        do_import(client, "a")
        Path("b").write_bytes(deletion(9) + line(5) + line(6) + deletion(6) + line(9) + deletion(1))
        expected = Report(read=6, stored=1, deleted=5, removed=1)
        assert do_import(client, "b") == expected
        assert sorted(posts(client)) == [2, 3, 4, 5]
        assert do_import(client, "b") == Report(read=6, seen=1, deleted=5)
        assert sorted(posts(client)) == [2, 3, 4, 5]

    def test_a_deletion_in_another_file(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(line(1))
        Path("b").write_bytes(deletion(1) * 1200)
        assert do_import(client, "a", "b") == Report(read=1201, deleted=1201)
        assert posts(client) == {}

    def test_batches_of_many_characters_are_cut(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"".join(line(tid, "é" * 400_000) for tid in range(1, 13)))
        assert do_import(client, "a") == Report(read=12, stored=12)

    def test_standard_input_and_pipes(self, client: Any, folder: Path) -> None:
        reader, writer = os.pipe()
        os.write(writer, line(2))
        os.close(writer)
        name = f"/dev/fd/{reader}"
        assert do_import(client, "-", name, stdin=line(1)) == Report(read=2, stored=2)
        os.close(reader)

    def test_progress(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"".join(line(tid) for tid in range(1, 1202)))
        shown: list[tuple[str, int, int | None]] = []
        with importing.sources(["a"], io.BytesIO()) as archives:
            scanned = scanning.scan(archives, show=lambda *told: shown.append(told))
            importing.store(
                archives, scanned, client, lambda: DAY, show=lambda *told: shown.append(told)
            )
        assert shown[:2] == [("checking", 500, None), ("checking", 1000, None)]
        assert shown[2:] == [
            ("storing", 501, 1201),
            ("storing", 1001, 1201),
            ("storing", 1201, 1201),
        ]


class TestShift:
    def test_the_newest_post_is_now(self, client: Any, folder: Path) -> None:
        times = ["2015-01-07T00:00:00Z", "2015-01-10T00:00:00.5Z", "2015-01-09T00:00:00Z"]
        Path("a").write_bytes(b"".join(line(i, created_at=t) for i, t in enumerate(times, 1)))
        do_import(client, "a", shift_to=DAY)
        moved = [DAY - timedelta(days=3.0, seconds=0.5), DAY, DAY - timedelta(days=1, seconds=0.5)]
        assert [posts(client)[tid].created_at for tid in (1, 2, 3)] == moved

    def test_no_time_leaves_the_calendar(self, client: Any, folder: Path) -> None:
        times = ["1970-01-01T00:00:00Z", "2261-12-31T23:59:59Z"]
        Path("a").write_bytes(b"".join(line(i, created_at=t) for i, t in enumerate(times, 1)))
        do_import(client, "a", shift_to=datetime(1970, 1, 1, tzinfo=UTC))
        assert posts(client)[1].created_at.year == 1677

    def test_nothing_to_move(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"[]")
        assert do_import(client, "a", shift_to=DAY) == Report()


class TestFaults:
    def test_strict_stores_nothing(self, client: Any, folder: Path) -> None:
        Path("a").write_bytes(b"".join(line(tid) for tid in range(1, 700)) + b"{\n")
        message = (
            "^a:700: broken JSON: --strict stored nothing; fix the record, or import without "
            "--strict to skip it$"
        )
        with pytest.raises(ArchiveError, match=message):
            do_import(client, "a", strict=True)
        assert posts(client) == {}

    def test_a_bad_file_does_not_stop_the_others_unless_strict(
        self, client: Any, folder: Path
    ) -> None:
        Path("a").write_bytes(line(1))
        Path("b").write_bytes(b"no JSON\n")
        Path("c").write_bytes(gzip.compress(line(2) + line(3, "x" * 9999))[:-8])
        Path("d").write_bytes(line(4))
        with pytest.raises(ArchiveError, match="^b seems to be plain text"):
            do_import(client, "a", "b", strict=True)
        assert posts(client) == {}
        report = do_import(client, "a", "b", "c", "d")
        assert report == Report(read=4, stored=4, failed=("b", "c"))
        with pytest.raises(ArchiveError, match="^b seems to be plain text"):
            do_import(client, "b")

    def test_files_that_cannot_be_read(
        self, client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("a").write_bytes(line(1))
        message = "^b does not exist: name a file with posts, or - for standard input$"
        with pytest.raises(UsageError, match=message):
            do_import(client, "a", "b")
        monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may read everything
        message = "^a is not readable: change its permissions, or name another file$"
        with pytest.raises(UsageError, match=message):
            do_import(client, "a")

    def test_no_room_for_standard_input(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.copyfileobj", _no_space)
        message = "^standard input cannot be kept in .*: No space left on device: set TMPDIR to a"
        with pytest.raises(ArchiveError, match=message), importing.sources("-", io.BytesIO()):
            pass


class TestExport:
    def test_lines_are_sorted_by_time_then_id(self, client: Any, folder: Path) -> None:
        times = {30: 5, 9: 5, 100: 5, 2**62: 4, 7: 6}
        made = {tid: Post(tid, "a", "x", DAY + timedelta(seconds=s)) for tid, s in times.items()}
        storing.store(client, list(made.values()), now=DAY)
        tids = [json.loads(line)["tid"] for line in exporting.export_lines(client)]
        assert tids == [2**62, 9, 30, 100, 7]

    def test_a_window(self, client: Any, folder: Path) -> None:
        made = [Post(n, "", "", DAY + timedelta(seconds=n)) for n in range(1, 6)]
        storing.store(client, made, now=DAY)
        since, until = DAY + timedelta(seconds=2), DAY + timedelta(seconds=4)
        lines = exporting.export_lines(client, since, until)
        assert [json.loads(line)["tid"] for line in lines] == [2, 3]
        assert len(list(exporting.export_lines(client, since))) == 4
        assert len(list(exporting.export_lines(client, until=until))) == 3

    def test_a_post_with_little_in_it(self, client: Any, folder: Path) -> None:
        entity = to_entity(Post(1, "a", "x", DAY), client, DAY)
        for name in ("user", "text", "urls", "tid"):
            del entity[name]
        client.put(entity)
        (only,) = exporting.export_lines(client)
        assert json.loads(only) == {
            "tid": 1,
            "user": None,
            "text": None,
            "created_at": "2020-01-01T00:00:00Z",
            "urls": [],
        }

    @pytest.mark.parametrize("other", [None, 7, b"x", "text", ["http://a.com", 7], {"a": 1}])
    def test_a_post_that_another_program_has_stored(
        self, client: Any, folder: Path, other: Any
    ) -> None:
        entity = to_entity(Post(1, "a", "x", DAY), client, DAY)
        client.put(entity)
        entity.update(dict.fromkeys(("user", "text", "created_at", "urls"), other))
        entity.key = client.key(KIND, 2)
        client.put(entity)
        by_tid = {
            json.loads(line)["tid"]: json.loads(line) for line in exporting.export_lines(client)
        }
        assert by_tid.pop(1)["created_at"] == "2020-01-01T00:00:00Z"
        text = other if isinstance(other, str) else None
        urls = [text] if text else ["http://a.com"] if isinstance(other, list) else []
        post = {"tid": 2, "user": text, "text": text, "created_at": None, "urls": urls}
        # An embedded entity has no place of its own in an index by its name.
        assert by_tid in ([{}] if isinstance(other, dict) else [{2: post}])

    def test_a_pipe_is_written_to_and_stays(self, folder: Path) -> None:
        os.mkfifo("pipe")
        reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
        assert write_whole([line(1)], Path("pipe")) == 1
        assert os.read(reader, 1000) == line(1)
        os.close(reader)
        assert Path("pipe").is_fifo()

    def test_a_name_that_is_too_long(self, folder: Path) -> None:
        with pytest.raises(DfpipeError, match="cannot be written: File name too long: name a file"):
            write_whole([line(1)], folder / ("x" * 300))

    def test_a_file_appears_whole(self, folder: Path) -> None:
        target = folder / "out.jsonl"
        target.write_bytes(b"old")

        def failing() -> Iterator[bytes]:
            yield line(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_whole(failing(), target)
        assert target.read_bytes() == b"old"
        assert write_whole([line(1), line(2)], target) == 2
        assert target.read_bytes() == line(1) + line(2)
        assert [file.name for file in folder.iterdir()] == ["out.jsonl"]

    def test_a_file_that_cannot_be_written(self, folder: Path) -> None:
        message = "out cannot be written: No such file or directory: name a file in a folder"
        with pytest.raises(DfpipeError, match=message):
            write_whole([], folder / "none" / "out")

    @given(
        st.lists(
            st.builds(
                Post,
                st.integers(1, 2**63 - 1),
                st.text(max_size=300),
                st.text(),
                TIMES,
                st.lists(st.text(min_size=1, max_size=40), max_size=3).map(tuple),
                st.none() | TIMES,
            ),
            unique_by=lambda post: post.tid,
            min_size=1,
            max_size=20,
        )
    )
    @settings(max_examples=15, deadline=None)
    def test_an_export_imports_as_an_equal_store(
        self, tmp_path_factory: pytest.TempPathFactory, made: list[Post]
    ) -> None:
        folder = tmp_path_factory.mktemp("round")
        with (
            closing(connect(f"sqlite:///{folder}/1.db")) as first,
            closing(connect(f"sqlite:///{folder}/2.db")) as second,
        ):
            storing.store(first, made, now=DAY)
            exported = b"".join(exporting.export_lines(first))
            in_order = sorted(made, key=lambda post: (post.created_at, post.tid))
            assert exported == b"".join(map(post_line, in_order))
            assert do_import(second, "-", stdin=exported).stored == len(made)
            assert posts(second) == posts(first) == {post.tid: post for post in made}


def test_examples() -> None:
    assert doctest.testmod(import_report) == (0, 3)
    assert doctest.testmod(scanning) == (0, 1)


def test_every_real_archive_adds_up(data: Path, tmp_path: Path) -> None:
    names = sorted(str(path) for path in data.rglob("*") if path.suffix in (".json", ".js", ".xz"))
    small = [name for name in names if "4day" not in name]
    assert small
    for number, name in enumerate(small):
        client = connect(f"sqlite:///{tmp_path}/{number}.db")
        first = do_import(client, name)
        skips = sum(skip.count for skip in first.skipped.values())
        outcomes = first.stored + first.replaced + first.seen + first.deleted + skips
        assert outcomes == first.read > 0, name
        stored = posts(client)
        assert len(stored) == first.stored
        second = do_import(client, name)
        assert (second.stored, second.replaced, second.removed) == (0, 0, 0)
        assert second.seen == first.seen + first.stored + first.replaced
        assert posts(client) == stored


def test_an_export_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    assert write_whole([b"{}\n"], tmp_path / "out") == 1
    assert done == ["file", "rename", "folder"]


def test_an_empty_file_among_others_is_a_warning(client: Any, folder: Path) -> None:
    Path("posts").write_bytes(line(1))
    Path("empty").write_bytes(b"\n")
    names = ["empty", "posts"]
    assert do_import(client, *names).stored == 1
    with importing.sources(names, io.BytesIO()) as archives:
        assert scanning.scan(archives).warnings == ("empty is empty: name a file with posts",)
        with pytest.raises(ArchiveError, match="^empty is empty"):
            scanning.scan(archives, strict=True)
        with pytest.raises(ArchiveError, match="^empty is empty"):
            scanning.scan(archives[:1])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"id,text,created_at\n", "CSV table"),
        (parquet_bytes({"id": [], "text": []}), "Parquet table"),
        (car({}), "Bluesky repository"),
    ],
    ids=["csv", "parquet", "car"],
)
def test_a_table_without_rows_is_a_warning(
    client: Any, folder: Path, data: bytes, what: str
) -> None:
    Path("posts").write_bytes(line(1))
    Path("none").write_bytes(data)
    expected = f"none is a {what} without posts: name a file with posts"
    with importing.sources(["none", "posts"], io.BytesIO()) as archives:
        assert scanning.scan(archives).warnings == (expected,)
        with pytest.raises(ArchiveError, match=f"^{expected}$"):
            scanning.scan(archives[:1])
