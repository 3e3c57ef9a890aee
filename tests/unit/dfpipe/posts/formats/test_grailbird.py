"""X's personal archives: which scripts hold posts, and long posts made whole."""

import doctest
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.posts import scanning
from dfpipe.posts.archives import read
from dfpipe.posts.containers import ArchiveFile, Failure, PassedOver
from dfpipe.posts.formats import foreign, grailbird
from dfpipe.posts.formats.grailbird import LongText, LongTexts
from dfpipe.posts.formats.result import ArchiveError, Skip
from dfpipe.posts.post import Post
from tests.support.archives import x_files, zipped

TIME = datetime(2023, 9, 8, 7, 10, tzinfo=UTC)
LONG = "The harbour committee published a very long statement about ferries and storms. " * 5
TEXTS = [(TIME, "Storm over the quay"), (TIME + timedelta(hours=1), LONG), (TIME, "Ferries &amp;")]


def found(path: Path) -> dict[str, str]:
    """The texts of an archive by their ids, long ones whole."""
    source = ArchiveFile(path.name, path)
    scanned = scanning.scan([source])
    posts = [what for _, what in read(source) if isinstance(what, Post)]
    return {str(post.tid): scanned.long_texts.whole(post).text for post in posts}


def test_an_archive_gives_the_same_as_a_zip_and_as_a_folder(tmp_path: Path) -> None:
    expected = {str(17 * 10**17 + n): text for n, (_, text) in enumerate(TEXTS)}
    (tmp_path / "x.zip").write_bytes(zipped(x_files(TEXTS)))
    for name, data in x_files(TEXTS).items():
        file = tmp_path / "x" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for name in ("x.zip", "x", "x/data"):
        assert found(tmp_path / name) == expected
    passed = scanning.scan([ArchiveFile("x", tmp_path / "x.zip")]).passed_over
    assert scanning.counts(passed) == (
        "3 account files, 1 file of deleted posts, 1 file of likes, 1 media file, 1 other file"
    )


@pytest.mark.parametrize(
    "begin",
    [
        "window.YTD.tweets.part0 = ",
        "window.YTD.tweet.part0 = ",  # until 2022
        "window.YTD.community_tweet.part0 = ",
        "Grailbird.data.tweets_2011_12 = \n ",
    ],
)
@pytest.mark.parametrize("end", ["", ";", ";\n"])
def test_scripts_of_posts(tmp_path: Path, begin: str, end: str) -> None:
    tweet = {"id_str": "7", "text": "x", "created_at": "2011-12-18 23:48:05 +0000"}
    (tmp_path / "a.js").write_text(begin + json.dumps([{"tweet": tweet}], indent=1) + end)
    ((_, post),) = read(ArchiveFile("a.js", tmp_path / "a.js"))
    assert isinstance(post, Post)


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        ("window.YTD.deleted_tweets.part0 = [", "files of deleted posts"),
        ("window.YTD.deleted_tweet.part0 = [", "files of deleted posts"),
        ("window.YTD.like.part0 = [", "files of likes"),
        ("window.YTD.tweet_headers.part0 = [", "account files"),
        ("window.YTD.direct_messages.part0 = [", "account files"),
        ("window.__THAR_CONFIG = {", "account files"),
        ("var tweet_index =  [ {", "account files"),
    ],
)
def test_scripts_without_posts(tmp_path: Path, begin: str, kind: str) -> None:
    tweet = {"tweet": {"id_str": "7", "text": "x", "created_at": "2011-12-18 23:48:05 +0000"}}
    (tmp_path / "a.js").write_text(begin + json.dumps(tweet))
    source = ArchiveFile("a.js", tmp_path / "a.js")
    assert list(read(source)) == [("a.js", PassedOver(kind))]
    with pytest.raises(ArchiveError, match=r"^a\.js holds no posts.*; name a file with posts$"):
        scanning.scan([source])


def test_an_archive_without_tweets_says_so(tmp_path: Path) -> None:
    files = {name: data for name, data in x_files([]).items() if "tweets" not in name}
    (tmp_path / "x.zip").write_bytes(zipped(files))
    with pytest.raises(ArchiveError) as error:
        scanning.scan([ArchiveFile("x.zip", tmp_path / "x.zip")])
    assert str(error.value) == (
        "x.zip holds no posts: this seems to be an X archive without tweets.js (passed over: 3 "
        "account files, 1 empty file, 1 file of likes, 1 other file); name a file with posts"
    )


class TestLongTexts:
    @staticmethod
    def texts(*texts: str, seconds: float = 0) -> LongTexts:
        longs = LongTexts()
        for text in texts:
            longs.add(LongText(TIME + timedelta(seconds=seconds), text, ("http://a.com",)))
        return longs

    @pytest.mark.parametrize(
        "end", ["… https://t.co/abc", "…", " https://t.co/abc", "... https://t.co/"]
    )
    @pytest.mark.parametrize("seconds", [0, 0.9, 1, -1])
    def test_a_cut_text_becomes_whole(self, end: str, seconds: float) -> None:
        cut = Post(1, "", LONG[:250] + end, TIME, ("http://t.co",))
        post = self.texts("Another", LONG, seconds=seconds).whole(cut)
        assert (post.text, post.urls, post.tid) == (LONG, ("http://a.com",), 1)

    @pytest.mark.parametrize("text", ["", "… https://t.co/abc", LONG, "Storm", f"{LONG} more"])
    def test_other_texts_stay(self, text: str) -> None:
        post = Post(1, "", text, TIME)
        assert self.texts(LONG).whole(post) is post

    def test_a_text_of_another_time_stays(self) -> None:
        post = Post(1, "", f"{LONG[:250]}…", TIME)
        assert self.texts(LONG, seconds=3).whole(post) is post

    def test_marks_of_html_are_no_difference(self) -> None:
        post = Post(1, "", f"Bread &amp; {LONG[:200]}…", TIME)
        assert self.texts(f"Bread & {LONG}").whole(post).text == f"Bread & {LONG}"

    @given(st.text(min_size=1), st.integers(1, 300))
    def test_any_text(self, text: str, cut: int) -> None:
        post = Post(1, "", f"{text[:cut]}… https://t.co/abc", TIME)
        whole = self.texts(text).whole(post).text
        assert whole in (text, post.text)

    @pytest.mark.parametrize(
        ("note", "reason"),
        [
            ({}, "text is missing"),
            ({"noteTweet": {"core": {"text": "x"}}}, "created_at is missing"),
            ([5], "text is missing"),
        ],
    )
    def test_notes_that_are_none(self, note: Any, reason: str) -> None:
        assert list(grailbird.long_texts(note)) == [Skip(reason)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8\xff\xe0 picture", "a seems to be a picture: name a file with posts"),
        (b"\0\0\0 ftypmp42", "a seems to be a video: name a file with posts"),
        (
            b"\n <!DOCTYPE html>",
            "a seems to be a web page or XML: name a file with the posts as data",
        ),
        (b"SQLite format 3\0", "a seems to be an SQLite database: export its posts as JSON lines"),
        (
            b"\xff\xfe[\0",
            "a seems to be text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`",
        ),
        (b"7z\xbc\xaf\x27\x1c", "a seems to be a 7z archive: unpack it, and name what it holds"),
        (b"\1\0\2\3", "a seems to be binary data: name a file with posts"),
    ],
)
def test_a_file_that_is_no_archive_says_what_it_seems_to_be(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "a").write_bytes(data)
    ((_, failure),) = read(ArchiveFile("a", tmp_path / "a"))
    assert isinstance(failure, Failure)
    assert str(failure.error) == message


def test_examples() -> None:
    assert doctest.testmod(grailbird).failed == 0
    assert doctest.testmod(foreign).failed == 0
