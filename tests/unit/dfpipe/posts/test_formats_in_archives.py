"""Files of every format give the same alone, compressed, in a zip, in a tar and in a folder."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from dfpipe.posts.archives import grows_by_lines, read
from dfpipe.posts.containers import ArchiveFile, Failure, PassedOver
from dfpipe.posts.formats.result import Result, Skip
from tests.support.archives import records
from tests.support.format_corpus import FILES, JSON_DOCUMENTS, encoded

NAMED = {
    f"{name}-{number}": data
    for name, files in (FILES | {k: [*map(encoded, v)] for k, v in JSON_DOCUMENTS.items()}).items()
    for number, data in enumerate(files)
}


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/posts", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo("folder/posts")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def found(folder: Path, data: bytes) -> list[Result]:
    path = folder / "posts"
    path.write_bytes(data)
    return [result for _, result in records(path)]


@pytest.mark.parametrize("name", NAMED)
def test_results_are_the_same_however_a_file_is_packed(name: str, tmp_path: Path) -> None:
    data = NAMED[name]
    alone = found(tmp_path, data)
    for packed in (gzip.compress(data), zipped(data), tarred(data), zipped(tarred(data))):
        assert found(tmp_path, packed) == alone
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "posts").write_bytes(data)
    assert [result for _, result in records(folder)] == alone


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_json_does_not_grow_by_lines(name: str, tmp_path: Path) -> None:
    for data in FILES[name]:
        path = tmp_path / "posts"
        path.write_bytes(data)
        assert not grows_by_lines(path)


def test_a_table_without_posts_is_passed_over_in_a_container_alone(tmp_path: Path) -> None:
    table = b"Account address,Show boosts\nben@s.example,true\n"
    path = tmp_path / "following.csv"
    path.write_bytes(table)
    ((_, failure),) = read(ArchiveFile("following.csv", path))
    assert isinstance(failure, Failure)
    assert str(failure.error).startswith(
        "following.csv: a table with the columns 'Account address', 'Show boosts': name those that "
    )
    path.write_bytes(zipped(table))
    ((_, passed),) = read(ArchiveFile("export.zip", path))
    assert passed == PassedOver("other files")


def test_named_columns_are_those_of_all_tables_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped(b"Wortlaut,text,id\nStorm,other,1650000000000000001\n"))
    ((_, post),) = read(ArchiveFile("x.zip", path, {"text": "Wortlaut"}))
    assert not isinstance(post, Skip | Failure | PassedOver)
    assert getattr(post, "text", "") == "Storm"
