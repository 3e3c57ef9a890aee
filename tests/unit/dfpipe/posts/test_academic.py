"""Pages whose data and includes are in two files, as academictwitteR writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.posts import halves
from dfpipe.posts.archives import read as read_archive
from dfpipe.posts.containers import ArchiveFile, Failure
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import ArchiveError, Result
from dfpipe.posts.post import Post
from tests.support.archives import records, tarred, zipped

TIDS = [str(1_700_000_000_000_000_000 + n) for n in range(4)]
TWEETS = st.fixed_dictionaries(
    {"id": st.sampled_from(TIDS), "text": st.sampled_from(["Storm", "RT @ben: Sto…"])},
    optional={
        "author_id": st.sampled_from(["11", "12"]),
        "referenced_tweets": st.sampled_from(TIDS).map(lambda t: [{"type": "retweeted", "id": t}]),
    },
)
INCLUDES = st.fixed_dictionaries(
    {"users": st.just([{"id": "11", "username": "ana"}])},
    optional={"tweets": st.lists(TWEETS, max_size=3)},
)
PAGES = st.lists(st.tuples(st.lists(TWEETS, min_size=1, max_size=3), INCLUDES), max_size=3)


def write(folder: Path, pages: list[tuple[list[Any], dict[str, Any]]], indent: int | None) -> None:
    folder.mkdir()
    for number, (tweets, includes) in enumerate(pages):
        (folder / f"data_{number}.json").write_text(json.dumps(tweets, indent=indent))
        (folder / f"users_{number}.json").write_text(json.dumps(includes))


def read(path: Path) -> list[Result]:
    return [result for _, result in records(path)]


@given(PAGES, st.sampled_from([None, 1]), st.randoms().map(lambda r: lambda x: r.sample(x, len(x))))
def test_two_files_give_what_the_page_gives(
    tmp_path_factory: pytest.TempPathFactory,
    pages: list[tuple[list[Any], dict[str, Any]]],
    indent: int | None,
    order: Callable[[list[Path]], list[Path]],
) -> None:
    folder = tmp_path_factory.mktemp("a") / "tweets"
    write(folder, pages, indent)
    expected = [r for data, inc in pages for r in results({"data": data, "includes": inc})]
    if pages:
        assert read(folder) == expected
    files = {f"x/{file.name}": file.read_bytes() for file in order(list(folder.iterdir()))}
    packed = folder.with_suffix(".archive")
    for data in (zipped(files), tarred(files)):
        packed.write_bytes(data)
        if pages:
            assert sorted(map(repr, read(packed))) == sorted(map(repr, expected))
            (first, _), *_ = pages
            assert read(folder / "data_0.json") == expected[: len(first)]


def test_a_tar_that_is_cut_off_keeps_the_files_without_their_other_halves(tmp_path: Path) -> None:
    write(tmp_path / "a", [([{"id": TIDS[0], "text": "Storm", "author_id": "11"}], {})], None)
    files = {file.name: file.read_bytes() for file in sorted((tmp_path / "a").iterdir())}
    cut = tmp_path / "a.tar"
    cut.write_bytes(tarred(files)[:1500])  # in the header of the second file
    (_, post), (_, failure) = read_archive(ArchiveFile("a.tar", cut))
    assert isinstance(post, Post)
    assert post.user == ""
    assert isinstance(failure, Failure)


def test_a_tar_of_too_many_halves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halves, "MOST_HELD", 5_000)
    many = {f"data_{n}.json": b'[{"id": "1", "text": "Storm"}]' for n in range(20)}
    (tmp_path / "a.tar").write_bytes(tarred(many))
    with pytest.raises(ArchiveError, match=r"a\.tar is too large for tweets and their users"):
        read(tmp_path / "a.tar")


def test_a_file_without_its_other_half(tmp_path: Path) -> None:
    write(tmp_path / "a", [([{"id": TIDS[0], "text": "Storm", "author_id": "11"}], {})], None)
    (tmp_path / "a" / "users_0.json").unlink()
    (post,) = read(tmp_path / "a" / "data_0.json")
    assert isinstance(post, Post)
    assert post.user == ""


def test_an_other_half_that_is_broken_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a", [([{"id": TIDS[0], "text": "Storm"}], {})], None)
    (tmp_path / "a" / "users_0.json").write_text('{"users": [')
    with pytest.raises(ArchiveError, match=r"has the names of its users in users_0\.json, which"):
        read(tmp_path / "a" / "data_0.json")
