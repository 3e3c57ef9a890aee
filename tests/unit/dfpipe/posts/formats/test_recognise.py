"""Each record is claimed by exactly one format."""

import lzma
from collections import Counter
from pathlib import Path

import pytest

from dfpipe.posts.formats.json_stream import documents
from dfpipe.posts.formats.recognise import (
    FILE_FORMATS,
    HEAD_BYTES,
    JSON_FORMATS,
    file_format,
    records_in,
    results,
)
from dfpipe.posts.formats.result import UNKNOWN, Skip
from tests.support.format_corpus import FILES, JSON_DOCUMENTS, encoded


def claims(document: object) -> list[list[str]]:
    """Return for each record of a document the names of the formats that claim it."""
    inner = records_in(document)
    if inner is not None:
        return [names for record in inner for names in claims(record)]
    assert isinstance(document, dict)
    return [[known.name for known in JSON_FORMATS if known.claims(document)]]


def test_the_corpus_has_every_format() -> None:
    assert list(JSON_DOCUMENTS) == [known.name for known in JSON_FORMATS]
    assert list(FILES) == [known.name for known in FILE_FORMATS]


@pytest.mark.parametrize("name", JSON_DOCUMENTS)
def test_a_record_is_of_one_format(name: str) -> None:
    for document in JSON_DOCUMENTS[name]:
        assert all(names == [name] for names in claims(document)), document
        assert UNKNOWN not in results(document)
        assert not any(known.claims(encoded(document)) for known in FILE_FORMATS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_of_one_format(name: str) -> None:
    for data in FILES[name]:
        assert [known.name for known in FILE_FORMATS if known.claims(data)] == [name]


def test_recorded_records_are_of_one_format_too(data: Path) -> None:
    found = Counter[str]()
    for file in sorted(path for path in data.rglob("*") if ".js" in path.name):
        with (lzma.open if file.suffix == ".xz" else open)(file, "rb") as stream:
            assert file_format(stream.read(HEAD_BYTES)) is None
            stream.seek(0)
            for _, document in documents(file.name, stream):
                if not isinstance(document, Skip):
                    found.update("+".join(names) for names in claims(document))
    assert set(found) == {
        *("dfpipe", "notice of X v1.1", "tweet of X v1.1", "page of X v2"),
        *("Mastodon status", "Bluesky post"),
    }
