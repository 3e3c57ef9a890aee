"""Pages whose data and includes are in two files, as academictwitteR writes them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import ArchiveError, Result
from dfpipe.posts.post import Post
from tests.support.archives import records

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


@given(PAGES, st.sampled_from([None, 1]))
def test_two_files_give_what_the_page_gives(
    tmp_path_factory: pytest.TempPathFactory,
    pages: list[tuple[list[Any], dict[str, Any]]],
    indent: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("a") / "tweets"
    write(folder, pages, indent)
    expected = [r for data, inc in pages for r in results({"data": data, "includes": inc})]
    if pages:
        assert read(folder) == expected
    zipped = folder.with_suffix(".zip")
    with zipfile.ZipFile(zipped, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"x/{file.name}")
    if pages:
        assert read(zipped) == expected
        (first, _), *_ = pages
        assert read(folder / "data_0.json") == expected[: len(first)]


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
