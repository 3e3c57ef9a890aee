"""Archives that hold files: folders, zips and tars, as they are and as they should not be."""

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.posts import archives, containers, streams
from dfpipe.posts.archives import Found
from dfpipe.posts.containers import ArchiveFile, Failure, PassedOver, Warned
from dfpipe.posts.post import Post
from tests.support.archives import tarred, zipped

Files = Mapping[str, bytes]
PICTURE = b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(100_000)


def line(tid: int, text: str = "x") -> bytes:
    record = {"tid": tid, "user": "a", "text": text, "created_at": "2020-01-01T00:00:00Z"}
    return json.dumps(record).encode() + b"\n"


PACK: dict[str, Callable[[Files], bytes]] = {
    "zip": zipped,
    "zip-stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "zip-bzip2": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "zip-lzma": lambda files: zipped(files, zipfile.ZIP_LZMA),
    "tar": tarred,
    "tar-gnu": lambda files: tarred(files, tarfile.GNU_FORMAT),
    "tar-ustar": lambda files: tarred(files, tarfile.USTAR_FORMAT),
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
    "tar.zst": lambda files: zstandard.ZstdCompressor().compress(tarred(files)),
    "zip-in-tar.gz": lambda files: gzip.compress(tarred({"in.zip": zipped(files)})),
    "tar.gz-in-zip": lambda files: zipped({"in.tar.gz": gzip.compress(tarred(files))}),
}


def read(path: Path) -> list[tuple[str, Found]]:
    return list(archives.read(ArchiveFile("in", path)))


def written(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


def unpacked(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "files"


def tids(found: list[tuple[str, Found]]) -> list[int]:
    return [what.tid for _, what in found if isinstance(what, Post)]


def posts(found: list[tuple[str, Found]]) -> list[str]:
    """Return all posts, whole, in one order."""
    return sorted(repr(what) for _, what in found if isinstance(what, Post))


def failures(found: list[tuple[str, Found]]) -> list[str]:
    return [str(what.error) for _, what in found if isinstance(what, Failure)]


def kinds(found: list[tuple[str, Found]]) -> list[str]:
    return sorted(what.kind for _, what in found if isinstance(what, PassedOver))


FILES = {
    "a.jsonl": line(1) + line(2),
    "sub/b.jsonl.gz": gzip.compress(line(3) + b"broken\n"),
    "sub/page.json": b"[" + line(4) + b"]",
    "media/p.JPG": PICTURE,
    "media/without-a-suffix": PICTURE,
    "readme.txt": b"What is in here.\n" * 300,
    "index.html": b"<!DOCTYPE html><html></html>",
    "account.js": b"window.YTD.account.part0 = [ {\n} ]",
    "empty.jsonl": b"\n",
    ".hidden/c.jsonl": line(9),
    "__MACOSX/a.jsonl": line(9),
}


@pytest.mark.parametrize("kind", PACK)
def test_an_archive_gives_what_its_folder_gives(kind: str, tmp_path: Path) -> None:
    as_folder = read(unpacked(tmp_path, FILES))
    assert tids(as_folder) == [1, 2, 3, 4]
    assert failures(as_folder) == []
    assert kinds(as_folder) == [
        "account files",
        "empty files",
        "hidden files",
        "hidden files",
        "media files",
        "other files",
        "other files",
        "other files",
    ]
    packed = read(written(tmp_path, PACK[kind](FILES)))
    inner = {"zip-in-tar.gz": "in.zip/", "tar.gz-in-zip": "in.tar.gz/"}.get(kind, "")
    assert sorted((place.replace(inner, ""), repr(what)) for place, what in packed) == sorted(
        (place, repr(what)) for place, what in as_folder
    )


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?\.(json|jsonl\.xz|jpg|js)", fullmatch=True),
        st.lists(
            st.builds(line, st.integers(1, 99), st.text(max_size=9)) | st.just(b"broken\n"),
            max_size=4,
        ).map(b"".join),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(sorted(PACK)),
)
@settings(max_examples=40, deadline=None)
def test_zip_folder_and_single_files_are_equal(
    tmp_path_factory: pytest.TempPathFactory, given_files: dict[str, bytes], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    files = {
        name: lzma.compress(data) if name.endswith(".xz") else data
        for name, data in given_files.items()
    }
    as_folder, as_archive = unpacked(folder, files), written(folder, PACK[kind](files))
    alone = [found for path in as_folder.rglob("*") if path.is_file() for found in read(path)]
    in_media = [line for name, data in files.items() if name.endswith("jpg") for line in [data]]
    assert posts(read(as_folder)) == posts(read(as_archive))
    if not any(in_media):
        assert posts(alone) == posts(read(as_folder))


@pytest.mark.parametrize("kind", PACK)
def test_an_archive_that_ends_early_says_so_once(kind: str, tmp_path: Path) -> None:
    many = {f"{n}.jsonl": b"".join(line(n * 100 + m, "é" * m) for m in range(99)) for n in range(9)}
    data = PACK[kind](many)
    # A tar ends in a block of zeros, which it may do without.
    end = 20 * tarfile.RECORDSIZE if kind in ("tar", "tar-gnu", "tar-ustar") else len(data) - 30
    for cut in (len(data) // 2, end, 600):
        found = read(written(tmp_path, data[:cut]))
        assert len(failures(found)) == 1, (cut, failures(found))
        assert failures(found)[0].startswith("in")
        assert "get it again" in failures(found)[0]


def test_what_comes_before_the_end_of_a_cut_archive_is_read(tmp_path: Path) -> None:
    data = b"".join(line(tid, str(random.Random(tid).random())) for tid in range(1, 20_000))
    packed = gzip.compress(tarred({"a.jsonl": data}))
    found = read(written(tmp_path, packed[: len(packed) // 2]))
    assert 5000 < len(tids(found)) < 15_000
    assert len(failures(found)) == 1


def test_an_encrypted_member_is_one_line_and_the_others_are_read(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": line(1), "b.jsonl": line(2)}))
    directory = data.index(b"PK\1\2")
    data[6] |= 1  # the flags of the first member, in its header and in the list at the end
    data[directory + 8] |= 1
    found = read(written(tmp_path, bytes(data)))
    assert tids(found) == [2]
    assert failures(found) == [
        "in/a.jsonl is encrypted: unpack the archive with its password, and import the folder"
    ]


def test_a_member_without_a_name_is_one_line(tmp_path: Path) -> None:
    data = zipped({"a": line(1), "b.jsonl": line(2)})
    place = data.index(b"PK\1\2") + 46  # of the first name in the list at the end
    found = read(written(tmp_path, data[:place] + b"\0" + data[place + 1 :]))
    assert tids(found) == [2]
    assert len(failures(found)) == 1


def test_a_method_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": line(1)}))
    directory = data.index(b"PK\1\2")
    data[8] = data[directory + 10] = 97
    assert failures(read(written(tmp_path, bytes(data)))) == [
        "in/a.jsonl cannot be unpacked here (That compression method is not supported): use "
        "another program for it"
    ]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../../evil.jsonl", "/etc/evil.jsonl"])
def test_a_name_that_leads_out_is_told_and_goes_nowhere(
    tmp_path: Path, pack: Callable[[Files], bytes], name: str
) -> None:
    path = written(tmp_path, pack({name: line(1), "b\x1b[31m.jsonl": line(2)}))
    before = sorted(tmp_path.rglob("*"))
    found = read(path)
    assert tids(found) == [1, 2]
    assert [place for place, _ in found][-1] == "in/b\ufffd[31m.jsonl:1"
    assert [what.message for _, what in found if isinstance(what, Warned)] == [
        f"in/{name} is named as if it were elsewhere; it is read where it is"
    ]
    assert sorted(tmp_path.rglob("*")) == before


class TestBombs:
    BOMBS: dict[str, Callable[[], bytes]] = {
        "gz": lambda: gzip.compress(line(1) * 150_000),
        "zst": lambda: zstandard.ZstdCompressor().compress(line(1) * 150_000),
        "xz": lambda: lzma.compress(line(1) * 150_000),
        "zip": lambda: zipped({"a": line(1) * 150_000}),
        "tar.gz": lambda: gzip.compress(tarred({"a.jpg": bytes(15_000_000)})),
        "many in a zip": lambda: zipped({f"{n}.txt": line(1) * 10_000 for n in range(15)}),
        "zips in a zip": lambda: zipped(
            {f"{n}.zip": zipped({"a": b"#" * 1_250_000}) for n in range(12)}
        ),
    }

    @pytest.mark.parametrize("kind", BOMBS)
    def test_what_unpacks_to_too_much(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(containers, "FREE_BYTES", 2_500_000)
        found = read(written(tmp_path, self.BOMBS[kind]()))
        assert set(failures(found)) == {
            "in unpacks to over 200 times its size, which archives of posts do not: if you trust "
            "it, unpack it, and import what it holds"
        }

    def test_archives_within_archives(self, tmp_path: Path) -> None:
        data = line(1)
        for layers in range(containers.MOST_LAYERS + 1):
            found = read(written(tmp_path, data))
            assert tids(found) == [1], layers
            data = zipped({"a.zip": data})
        assert failures(read(written(tmp_path, data))) == [
            "in/a.zip/a.zip/a.zip/a.zip/a.zip is an archive in more than 5 others: unpack it, and "
            "name what it holds"
        ]

    @pytest.mark.parametrize("pack", [zipped, tarred])
    def test_many_members(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[Files], bytes]
    ) -> None:
        monkeypatch.setattr(containers, "MOST_MEMBERS", 3)
        found = read(written(tmp_path, pack({f"{n}.jsonl": line(n) for n in range(1, 9)})))
        assert tids(found) == [1, 2, 3]
        assert failures(found) == [
            "in holds over 3 files: unpack it, and import the folder",
        ]

    def test_a_long_list_of_members(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "MOST_READ", 1000)
        found = read(written(tmp_path, zipped({f"{n}.jsonl": line(n) for n in range(1, 99)})))
        assert failures(found) == ["in is damaged (its list of members is too long): get it again"]

    def test_a_large_zip_in_another(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(containers, "MOST_INNER_ZIP", 1000)
        inner = zipped({"a.jsonl": os.urandom(2000)})
        found = read(written(tmp_path, zipped({"in.zip": inner, "b.jsonl": line(1)})))
        assert tids(found) == [1]
        assert failures(found) == [
            "in/in.zip is a zip of over 1,000 bytes in another archive: unpack that, and name this "
            "one"
        ]

    def test_a_tar_with_a_huge_header(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("long")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
        found = read(
            written(tmp_path, tarred({"a.jsonl": line(1)})[:1024] + info.tobuf(tarfile.GNU_FORMAT))
        )
        assert tids(found) == [1]
        assert failures(found) == [
            "in is damaged (a header of 1,099,511,627,776 bytes): get it again"
        ]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_memory_is_bounded(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    files = {
        f"data/tweets-part{n}.js": b"window.YTD.tweets.part%d = [" % n
        + b",\n".join(
            b'{"tweet": {"id_str": "%d", "full_text": "Storm %d %s", "created_at": '
            b'"Fri Sep 08 07:00:00 +0000 2023"}}' % (10**6 * n + m, m, b"x" * 1_900)
            for m in range(1, 2_500)
        )
        + b"]"
        for n in range(1, 4)
    }
    media = {f"data/tweets_media/{n}.mp4": bytes(5_000_000) for n in range(4)}
    path = written(tmp_path, pack(files | media | {"data/unknown": bytes(30_000_000)}))
    tracemalloc.start()
    count = sum(isinstance(what, Post) for _, what in archives.read(ArchiveFile("in", path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3 * 2_499
    assert peak < 12 * 2**20


def test_a_tar_with_a_broken_header_in_its_midst(tmp_path: Path) -> None:
    data = bytearray(tarred({"a.jsonl": line(1), "b.jsonl": line(2)}))
    data[1024] ^= 1
    found = read(written(tmp_path, bytes(data)))
    assert tids(found) == [1]
    assert failures(found) == ["in is damaged (no member begins where one should): get it again"]


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("a")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    found = read(written(tmp_path, out.getvalue()))
    assert kinds(found) == ["links and devices"] * 3
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder/pipe")
    (tmp_path / "folder/link").symlink_to(tmp_path)
    assert [type(what) for _, what in read(tmp_path / "folder")] == [Warned]


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(tmp_path, {"a.jsonl": line(1), "closed/b.jsonl": line(2)})
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # the superuser may read everything
    found = read(folder)
    assert tids(found) == [1]
    assert failures(found) == [f"{folder}/closed cannot be read: Permission denied"]


def test_an_encrypted_file_of_users_beside_tweets_is_one_line(tmp_path: Path) -> None:
    tweets = [{"id": "1578466218075312129", "text": "x", "author_id": "1"}]
    files = {"data_1.json": json.dumps(tweets).encode(), "users_1.json": b'{"users": []}'}
    data = bytearray(zipped(files))
    header, directory = data.rindex(b"PK\3\4"), data.rindex(b"PK\1\2")
    data[header + 6] |= 1
    data[directory + 8] |= 1
    told = failures(read(written(tmp_path, bytes(data))))
    assert len(told) == 2
    assert all("users_1.json is encrypted" in message for message in told)


@pytest.mark.parametrize("data", [zipped({}), zipped({"folder/": b""})])
def test_an_archive_without_files_is_empty(tmp_path: Path, data: bytes) -> None:
    ((_, found),) = read(written(tmp_path, data))
    assert found == Warned("in is empty: name a file with posts")


def _mangled(data: bytes) -> st.SearchStrategy[bytes]:
    def mangle(cut: int, places: list[tuple[int, int]]) -> bytes:
        out = bytearray(data[: len(data) - cut])
        for place, value in places:
            if out:
                out[place % len(out)] = value
        return bytes(out)

    places = st.lists(st.tuples(st.integers(0, len(data)), st.integers(0, 255)), max_size=4)
    return st.builds(mangle, st.integers(0, len(data)) | st.just(0), places)


SMALL = {"a.jsonl": line(1) * 3, "b/c.gz": gzip.compress(line(2)), "d.js": b"window.YTD.like = []"}


@given(st.sampled_from(sorted(PACK)).flatmap(lambda kind: _mangled(PACK[kind](SMALL))))
@settings(max_examples=300, deadline=None)
def test_no_damage_is_more_than_a_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    for place, found in read(written(tmp_path_factory.mktemp("mangled"), data)):
        assert place.startswith("in")
        assert not isinstance(found, Failure) or "\n" not in str(found.error)
