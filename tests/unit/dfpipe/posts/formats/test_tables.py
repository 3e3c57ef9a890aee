"""Tables of posts, as CSV and as Parquet, in the columns of data sets that many people have."""

import csv
import doctest
import io
import re
import sys
from datetime import UTC, datetime, timedelta, timezone

import pyarrow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dfpipe.errors import UsageError
from dfpipe.posts.formats import columns, csv_table, parquet
from dfpipe.posts.formats.columns import Columns, known_columns, parse_columns, table_time
from dfpipe.posts.formats.recognise import file_format, results
from dfpipe.posts.formats.result import (
    ArchiveError,
    RefusedError,
    Result,
    Skip,
    UnknownFormatError,
    hashed_tid,
)
from dfpipe.posts.post import Post
from tests.support.format_corpus import parquet_bytes

TID = 1650000000000000001
SEVEN = datetime(2023, 9, 8, 7, tzinfo=UTC)
TIME_IN_ID = datetime(2023, 4, 23, 4, 53, 50, 174000, tzinfo=UTC)
TWARC = f"""id,author_id,created_at,text,note_tweet.text,entities.urls,author.username
{TID},11,2023-09-08T07:00:00.000Z,"Storm
over the quay",,"[{{""expanded_url"": ""http://a/,b"", ""url"": ""https://t.co/1""}}]",ana
"""
SENTIMENT = (
    '"0","1467810369","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","ana","caf\xe9 - Awww"\n'
    '"4","1467810672","Mon Apr 06 22:19:49 PDT 2009","NO_QUERY","ben","is upset"\n'
)
COVID = """user_name,user_location,user_description,user_created,user_followers,date,text,is_retweet
ana,quay,"a, b",2017-05-26 05:46:42,624,2023-09-08 07:00:00,Storm,False
"""
TWINT = f"""id\tconversation_id\tcreated_at\tdate\ttime\ttimezone\tusername\ttweet\turls
{TID}\t1\t2023-04-23 10:23:50 India Standard Time\t2023-04-23\t10:23:50\t+0530\tana\tStorm\t['http://a/']
"""
GRAILBIRD = """"tweet_id","in_reply_to_status_id","timestamp","source","text","expanded_urls"
"7","","2023-09-08 07:00:00 +0000","web","Storm https://t.co/1","http://a/x,y,http://b/"
"""


def from_csv(text: str | bytes, /, **named: str) -> list[tuple[str, Result]]:
    data = text if isinstance(text, bytes) else text.encode()
    assert csv_table.is_csv(data[:1000])
    return list(csv_table.results(io.BytesIO(data), named))


def only(text: str | bytes, /, **named: str) -> Result:
    ((_, result),) = from_csv(text, **named)
    return result


def from_parquet(data: bytes, /, **named: str) -> list[tuple[str, Result]]:
    assert parquet.is_parquet(data)
    return list(parquet.results(io.BytesIO(data), named))


class TestKnownTables:
    def test_twarc(self) -> None:
        expected = Post(TID, "ana", "Storm\nover the quay", SEVEN, ("http://a/,b",))
        assert from_csv(TWARC) == [("2", expected)]

    def test_twarc_has_the_whole_text_of_a_long_post(self) -> None:
        found = only(TWARC.replace('quay",,', 'quay","the whole text",'))
        assert isinstance(found, Post)
        assert found.text == "the whole text"

    def test_sentiment140_in_latin_1_without_a_header(self) -> None:
        time = datetime(2009, 4, 7, 5, 19, 45, tzinfo=UTC)
        first = Post(1467810369, "ana", "café - Awww", time)
        second = Post(1467810672, "ben", "is upset", time + timedelta(seconds=4))
        assert from_csv(SENTIMENT.encode("latin-1")) == [("1", first), ("2", second)]

    def test_a_table_without_ids(self) -> None:
        tid = hashed_tid("ana 2023-09-08T07:00:00+00:00 Storm")
        assert only(COVID) == Post(tid, "ana", "Storm", SEVEN)

    def test_twint(self) -> None:
        assert only(TWINT) == Post(TID, "ana", "Storm", TIME_IN_ID, ("http://a/",))

    def test_an_old_personal_archive(self) -> None:
        links = ("http://a/x,y", "http://b/")
        assert only(GRAILBIRD) == Post(7, "", "Storm https://t.co/1", SEVEN, links)

    @pytest.mark.parametrize("table", [TWARC, SENTIMENT, COVID, TWINT, GRAILBIRD], ids=range(5))
    def test_each_is_told_as_a_table(self, table: str) -> None:
        known = file_format(table.encode())
        assert known is not None
        assert known.name == "CSV table"


class TestColumns:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("tid,user,text,created_at,urls", Columns((0,), (1,), (2,), (3,), (4,))),
            ("ID,Screen Name,Full-Text,Created At", Columns((0,), (1,), (2,), (3,))),
            ("content,publish_date", Columns(text=(0,), created_at=(1,))),
            ("text,tweet_id", Columns(tid=(1,), text=(0,))),
            ("text,full_text,date", Columns(text=(1, 0), created_at=(2,))),
        ],
    )
    def test_usual_names(self, header: str, expected: Columns) -> None:
        assert known_columns(header.split(","), {}) == expected

    @pytest.mark.parametrize("header", ["a,b", "text,a", "id,date", "date,user,id"])
    def test_unknown_columns_are_named(self, header: str) -> None:
        with pytest.raises(UnknownFormatError, match="--columns text=COLUMN") as raised:
            known_columns(header.split(","), {})
        assert repr(header.split(",")[0]) in str(raised.value)

    def test_columns_can_be_named(self) -> None:
        table = "id,Wortlaut,wann,text\nx,Storm,2023-09-08,other\n"
        named = {"text": "Wortlaut", "created_at": "wann", "tid": ""}
        found = only(table, **named)
        assert isinstance(found, Post)
        assert (found.text, found.created_at.day) == ("Storm", 8)

    def test_a_named_column_that_is_not_there(self) -> None:
        with pytest.raises(UnknownFormatError, match="without the column 'Text' of --columns"):
            from_csv(COVID, text="Text")

    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            ("2023-09-08T07:00:00Z", SEVEN),
            ("2023-09-08 07:00:00", SEVEN),
            (" 2023-09-08 09:00:00+02:00", SEVEN),
            ("2023-09-08 07:00:00 UTC", SEVEN),
            ("2023-09-07 23:00:00 -0800", SEVEN),
            ("2023-09-08 00:00:00 PDT", SEVEN),
            ("Fri Sep 08 07:00:00 +0000 2023", SEVEN),
            ("1694156400", SEVEN),
            ("1694156400000", SEVEN),
            ("1694156400.0", SEVEN),
            (1694156400, SEVEN),
            ("2023-09-08", SEVEN.replace(hour=0)),
            (datetime(2023, 9, 8, 7), SEVEN),
            (datetime(2023, 9, 8, 9, tzinfo=timezone(timedelta(hours=2))), SEVEN),
        ],
    )
    def test_times(self, cell: object, expected: datetime) -> None:
        assert table_time(cell) == expected

    @pytest.mark.parametrize("cell", ["", "10/1/2017 19:58", "20230908", None, True, "PDT", "Z"])
    def test_what_is_not_a_time(self, cell: object) -> None:
        with pytest.raises(RefusedError, match="created_at"):
            table_time(cell)

    @pytest.mark.parametrize("text", ["", "text", "words=a", "text=a,b", "text=a,tid:b"])
    def test_what_does_not_name_columns(self, text: str) -> None:
        with pytest.raises(UsageError, match="--columns has .*: give FIELD=COLUMN"):
            parse_columns(text)

    def test_the_examples_hold(self) -> None:
        outcome = doctest.testmod(columns)
        assert (outcome.failed, outcome.attempted > 0) == (0, True)


class TestCsv:
    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b'{"id": 1, "text": "a"}\n{}',
            b"[1,\n2]",
            b'window.YTD.tweets.part0 = [{"id":1,"b":2\n}]',
            b"one column\nx",
            b'a title, and more\n{"tid": 1}',
            b"2015,2016\n1,2",
            b"see http://a.example/, then\nleave",
            b"\xff\xfe\x00,\x00\n,",
        ],
    )
    def test_what_is_not_a_table(self, head: bytes) -> None:
        assert not csv_table.is_csv(head)

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiters(self, delimiter: str) -> None:
        assert only(f"\ufefftext{delimiter}date\r\nStorm{delimiter}2023-09-08\r\n")

    def test_places_are_the_lines_on_which_rows_begin(self) -> None:
        table = 'text,date\n"a\n\nb",2023-09-08\n\n"c",x\n"d\n'
        assert [place for place, _ in from_csv(table)] == ["2", "6", "7"]

    def test_rows_that_are_skipped(self) -> None:
        table = "text,date,id\na,x,1\n,2023-09-08,1\na,2023-09-08\na,x,\na,2023-09-08,1.5e18\n"
        assert [result for _, result in from_csv(table)] == [
            Skip("created_at is not a time"),
            Skip("text is missing"),
            Skip("a row with more or fewer fields than the header"),
            Skip("created_at is not a time"),
            Skip("id is not an integer"),
        ]

    def test_rows_after_a_lost_quote_are_read(self) -> None:
        table = 'text,date\n"a,2023-09-08\n' + "b,2023-09-08\n" * 20_000
        found = from_csv(table)
        assert found[0] == ("2", Skip("broken CSV"))
        assert len([result for _, result in found if isinstance(result, Post)]) > 9_000

    @given(st.lists(st.tuples(st.text(min_size=1), st.text(), st.integers(1, 2**63 - 1))))
    @example([("a\r", "\x00", 1), ('"', "\n", 2)])
    def test_any_text_is_read_as_it_was_written(self, rows: list[tuple[str, str, int]]) -> None:
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(["text", "user", "id", "date"])
        writer.writerows((text, user, tid, "2023-09-08") for text, user, tid in rows)
        table = file.getvalue().encode("utf-8", "replace")
        found = [result for _, result in csv_table.results(io.BytesIO(table), {})]
        records = [
            {"tid": tid, "user": user, "text": text, "created_at": "2023-09-08T00:00:00Z"}
            for text, user, tid in rows
        ]
        expected = list(results(records))
        for ours, theirs in zip(found, expected, strict=True):
            assert _plain(ours) == _plain(theirs)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, data: bytes) -> None:
        for _, result in csv_table.results(io.BytesIO(b"text,date\n" + data), {}):
            assert isinstance(result, Post | Skip)


def _plain(result: Result) -> object:
    # A carriage return alone becomes a space.
    if not isinstance(result, Post):
        return result
    return result.tid, re.sub("\r(?!\n)", " ", result.text)


class TestParquet:
    def test_values_of_any_type(self) -> None:
        times = [SEVEN, None, SEVEN]
        columns = {
            "id": [TID, TID, None],
            "text": ["Storm", "Ferry", "Quay"],
            "username": [11, None, 12],
            "urls": [["http://a/"], None, []],
        }
        for kind in (pyarrow.timestamp("ns", "UTC"), pyarrow.timestamp("ms")):
            plain = times if kind.tz else [time and time.replace(tzinfo=None) for time in times]
            data = parquet_bytes(columns | {"created_at": pyarrow.array(plain, kind)})
            assert from_parquet(data) == [
                ("1", Post(TID, "11", "Storm", SEVEN, ("http://a/",))),
                ("2", Post(TID, "", "Ferry", TIME_IN_ID)),
                ("3", Post(hashed_tid(f"12 {SEVEN.isoformat()} Quay"), "12", "Quay", SEVEN)),
            ]

    def test_missing_numbers_of_pandas(self) -> None:
        columns = {"text": ["a", None], "date": [1694156400.0, float("nan")], "id": [1, 2]}
        found = [result for _, result in from_parquet(parquet_bytes(columns))]
        assert found == [Post(1, "", "a", SEVEN), Skip("created_at is missing")]

    def test_within_another_archive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = parquet_bytes({"text": ["a"], "id": [TID]})
        stream = io.BytesIO(data)
        monkeypatch.setattr(stream, "seekable", lambda: False)
        assert len(list(parquet.results(stream, {}))) == 1
        monkeypatch.setattr(parquet, "MOST_HELD", len(data) - 1)
        stream.seek(0)
        with pytest.raises(ArchiveError, match="within another archive: unpack that"):
            list(parquet.results(stream, {}))

    @pytest.mark.parametrize("size", [4, 50, -1])
    def test_damage_is_told(self, size: int) -> None:
        data = parquet_bytes({"text": ["a"], "id": [TID]})
        with pytest.raises(ArchiveError, match=r"a damaged Parquet file \(.+\): get it again"):
            from_parquet(data[:size])

    def test_a_row_group_that_unpacks_to_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = parquet_bytes({"id": [TID], "text": ["x" * 99_999]}, compression="zstd")
        monkeypatch.setattr(parquet, "FREE_GROUP", 9_999)
        with pytest.raises(ArchiveError, match="^a Parquet file that unpacks to over 200 times"):
            list(parquet.results(io.BytesIO(data), {}))

    def test_without_pyarrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ArchiveError, match="only pyarrow reads: install it with `pip install"):
            list(parquet.results(io.BytesIO(b"PAR1"), {}))

    def test_unknown_columns(self) -> None:
        with pytest.raises(UnknownFormatError, match="a table with the columns 'a', 'b'"):
            from_parquet(parquet_bytes({"a": [1], "b": [2]}))

    def test_it_is_told_by_its_beginning(self) -> None:
        known = file_format(parquet_bytes({"text": ["a"], "id": [TID]}))
        assert known is not None
        assert known.name == "Parquet table"
