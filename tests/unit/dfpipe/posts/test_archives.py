"""Archives as files: compression, lines and documents, damage."""

import bz2
import gzip
import io
import json
import lzma
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.posts.compression import DAMAGE, decompressed, is_compressed
from dfpipe.posts.formats import json_stream
from dfpipe.posts.formats.json_stream import BROKEN, NOT_UTF8, documents, parse
from dfpipe.posts.formats.result import UNKNOWN, ArchiveError, Result, Skip
from dfpipe.posts.post import Post
from tests.support.archives import records

COMPRESS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def record(tid: int = 1, **changes: Any) -> dict[str, Any]:
    return {"tid": tid, "user": "a", "text": "x", "created_at": "2020-01-01T00:00:00Z"} | changes


def line(tid: int = 1, **changes: Any) -> bytes:
    return json.dumps(record(tid, **changes)).encode() + b"\n"


def read(folder: Path, data: bytes) -> list[tuple[str, Result]]:
    path = folder / "posts"
    path.write_bytes(data)
    return list(records(path))


def tids(folder: Path, data: bytes) -> list[int]:
    return [result.tid for _, result in read(folder, data) if isinstance(result, Post)]


@pytest.mark.parametrize("kind", COMPRESS)
class TestCompression:
    def test_members_are_read_one_after_another(self, kind: str, tmp_path: Path) -> None:
        many = b"".join(map(line, range(1, 3000)))
        data = COMPRESS[kind](many) + COMPRESS[kind](line(3000))
        assert tids(tmp_path, data) == list(range(1, 3001))

    def test_an_empty_file(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="^posts is empty: name a file with posts$"):
            read(tmp_path, COMPRESS[kind](b"\n \r\n"))


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "plain"])
class TestDamage:
    MESSAGE = r"^posts is damaged \(.+\): get it again$"

    def test_a_file_that_ends_early(self, kind: str, tmp_path: Path) -> None:
        data = COMPRESS[kind](b"".join(map(line, range(1, 3000))))
        for cut in (len(data) // 2, len(data) - 1, 10):
            with pytest.raises(ArchiveError, match=self.MESSAGE):
                read(tmp_path, data[:cut])

    def test_a_file_with_wrong_bytes(self, kind: str, tmp_path: Path) -> None:
        data = COMPRESS[kind](b"".join(map(line, range(1, 3000))))
        with pytest.raises(ArchiveError, match=self.MESSAGE):
            read(tmp_path, data[:200] + b"\xff\x00" * 300 + data[800:])


class TestLines:
    def test_line_ends_blank_lines_and_byte_order_mark(self, tmp_path: Path) -> None:
        first, second = line(1).strip(), line(2).strip()
        data = b"\xef\xbb\xbf" + first + b"\r\n\r\n  \n" + second
        assert [place for place, _ in read(tmp_path, data)] == ["1", "4"]
        assert tids(tmp_path, data) == [1, 2]

    def test_a_broken_line_is_skipped_with_its_number(self, tmp_path: Path) -> None:
        data = b'{"tid": 1, "te\n' + line(2) + b"\xff\n" + b"\0\n" + line(5, text=None)
        assert [(place, result) for place, result in read(tmp_path, data) if place != "2"] == [
            ("1", BROKEN),
            ("3", NOT_UTF8),
            ("4", BROKEN),
            ("5", Skip("text is missing")),
        ]

    def test_a_page_on_each_line(self, tmp_path: Path) -> None:
        data = json.dumps([record(1), record(2)]).encode() + b"\n" + line(3)
        assert [place for place, _ in read(tmp_path, data)] == ["1", "1", "2"]

    def test_a_long_file_is_read_as_it_goes(self, tmp_path: Path) -> None:
        path = tmp_path / "posts"
        path.write_bytes(b"".join(map(line, range(1, 500))) + b"\x1f")
        found = records(path)
        assert next(found)[0] == "1"


class TestDocuments:
    @pytest.mark.parametrize("indent", [None, 1])
    def test_pages(self, tmp_path: Path, indent: int | None) -> None:
        page = json.dumps([record(1), record(2), 5], indent=indent).encode()
        found = read(tmp_path, page)
        assert [place for place, _ in found] == (
            ["1"] * 3 if indent is None else ["item 1", "item 2", "item 3"]
        )
        assert found[2][1] == UNKNOWN

    def test_a_list_with_one_record_on_each_line(self, tmp_path: Path) -> None:
        page = b"[\n" + line(1).strip() + b",\n" + line(2) + b"]\n"
        assert tids(tmp_path, page) == [1, 2]

    def test_an_object_over_several_lines(self, tmp_path: Path) -> None:
        tweets = [{"id": "1578466218075312129", "text": "x"}]
        page = json.dumps({"data": tweets, "meta": {}}, indent=2).encode()
        assert tids(tmp_path, b"\xef\xbb\xbf" + page) == [1578466218075312129]

    @pytest.mark.parametrize(
        "start", [b"Grailbird.data.tweets_2011_12 = \n ", b"window.YTD.tweets.part0 = "]
    )
    @pytest.mark.parametrize("indent", [None, 1])
    def test_scripts_of_a_personal_archive(
        self, tmp_path: Path, start: bytes, indent: int | None
    ) -> None:
        tweet = {"id_str": "7", "text": "x", "created_at": "2011-12-18 23:48:05 +0000"}
        assert tids(tmp_path, start + json.dumps([{"tweet": tweet}], indent=indent).encode()) == [7]

    def test_an_empty_page_holds_no_posts(self, tmp_path: Path) -> None:
        assert read(tmp_path, b"[]") == []

    def test_a_document_that_is_too_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(json_stream, "MAX_DOCUMENT_BYTES", 200)
        message = "^posts holds a document of over 200 bytes: cut it into several"
        with pytest.raises(ArchiveError, match=message):
            read(tmp_path, line(1) + line(2, text="x" * 200))
        page = [record(tid) for tid in range(1, 200)]
        with pytest.raises(ArchiveError, match=message):
            read(tmp_path, json.dumps({"statuses": page}, indent=1).encode())
        # An array is cut into its elements.
        assert len(read(tmp_path, json.dumps(page, indent=1).encode())) == 199

    @pytest.mark.parametrize("many", [b"{},", b"[],", b"0,", b'"",'])
    def test_a_small_file_that_unpacks_to_many_values_takes_little_memory(
        self, tmp_path: Path, many: bytes
    ) -> None:
        count = 12_000_000
        for data in (b"[%b{}]" % (many * count), b'{"data": [%b{}]}' % (many * count)):
            found = json_stream.documents("x", io.BytesIO(data))
            tracemalloc.start()
            documents = [next(found)[1] for _ in range(3)] if data[:1] == b"[" else [*found]
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 100 * 2**20
            assert len(documents) == 3 or documents == [(1, json_stream.TOO_MANY)]

    def test_not_a_number_is_nothing(self, tmp_path: Path) -> None:
        good = line(1).replace(b'"urls"', b'"likes": NaN, "rate": -Infinity, "urls"')
        assert parse(b'{"a": NaN, "b": [-Infinity, "NaN"]}') == {"a": None, "b": [None, "NaN"]}
        assert [type(result) for _, result in read(tmp_path, good)] == [Post]

    def test_documents_one_after_another(self, tmp_path: Path) -> None:
        data = "\n".join(json.dumps(record(tid), indent=1) for tid in range(1, 30))
        found = read(tmp_path, data.encode())
        assert [place for place, _ in found] == [f"item {n}" for n in range(1, 30)]
        assert all(isinstance(result, Post) for _, result in found)
        data = f"{json.dumps([record(1)], indent=1)};\n{line(2).decode()}{json.dumps([record(3)])}"
        places = [place for place, _ in read(tmp_path, data.encode())]
        assert places == ["item 1", str(data.count("\n")), str(data.count("\n") + 1)]

    def test_no_more_is_read_than_is_needed(self) -> None:
        stream = io.BytesIO(json.dumps(record(1), indent=1).encode() * 100_000)
        found = documents("many", io.BufferedReader(stream))
        assert [document for _, document in islice(found, 1_000)] == [record(1)] * 1_000
        assert stream.tell() < 2**20

    def test_what_follows_a_broken_array_is_read_by_lines(self, tmp_path: Path) -> None:
        data = b'[{"tid": 1, "text": "cut\n' + line(2) + line(3)
        places = [place for place, _ in read(tmp_path, data)]
        assert places == ["1", "2", "3"]

    @given(
        st.lists(
            st.recursive(
                st.none() | st.text() | st.integers(0, 9),
                lambda s: st.lists(s) | st.dictionaries(st.text(), s),
                max_leaves=9,
            ),
            max_size=6,
        ),
        st.none() | st.integers(0, 3),
        st.integers(1, 40),
    )
    def test_an_array_gives_its_elements_however_it_is_read(
        self, values: list[Any], indent: int | None, piece: int
    ) -> None:
        data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_stream, "PIECE", piece)
            found = [document for _, document in json_stream.documents("x", io.BytesIO(data))]
        assert found in ([values], values)


class TestNoKnownFormat:
    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"Dear all.\n", r"posts seems to be plain text"),
            (b"\xff{\n", r"posts:1: not UTF-8, like the records after it"),
            (b'{"a": 1}\n' * 200, r"posts:1: in no known format, like the records after it"),
            (b'[{"tid": 1,\n"text": ', r"posts:1: broken JSON, like the records after it"),
            (b'{"a":\n 1\n}', r"posts:item 1: in no known format, like the records after it"),
        ],
    )
    def test_is_an_error(self, tmp_path: Path, data: bytes, why: str) -> None:
        with pytest.raises(ArchiveError, match=f"^{why}. Give posts as"):
            read(tmp_path, data)

    def test_some_lines_before_the_first_post_are_not(self, tmp_path: Path) -> None:
        assert len(read(tmp_path, b"#\n" * 99 + line(1))) == 100

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="^posts cannot be read: No such file or directory$"):
            next(records(tmp_path / "posts"))


class TestParse:
    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        assert parse(rb'{"a": "x\ud83d y", "b": "\uD83D\uDE00"}') == {"a": "x\ufffd y", "b": "😀"}

    @pytest.mark.parametrize(
        "data",
        [b'"\\ud83d', b"[" * 5000, b'["\\ud83d", ' + b"[" * 100_000, b"\\ud"]
        + [b'["\\ud83d", ' + b"9" * 5000 + b"]"],
    )
    def test_what_is_no_json(self, data: bytes) -> None:
        assert parse(data) is BROKEN

    def test_large_ids_stay_exact(self) -> None:
        assert parse(b"9223372036854775807") == 2**63 - 1


@given(st.binary(max_size=300) | st.text('{}[]",:1 \n\\ud', max_size=80).map(str.encode))
@settings(max_examples=300)
def test_no_bytes_crash(data: bytes) -> None:
    try:
        stream: Any = io.BytesIO(data)
        if is_compressed(data):
            stream = io.BufferedReader(decompressed(stream, data))
        for line_number, document in json_stream.documents("x", stream):
            assert line_number >= 0
            assert not isinstance(document, Skip) or document in (BROKEN, NOT_UTF8)
    except DAMAGE:
        assert data[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")
