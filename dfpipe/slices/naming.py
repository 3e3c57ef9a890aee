"""The names of slices, which say all that their contents depend on.

A slice is the file FOLDER/HOUR-STATE.parquet. The folder is named by a digest of what the slices of
a run have in common; another program or another setting gives another folder.
"""

import functools
import platform
from hashlib import blake2b
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pathlib import Path

import regex

from dfpipe.datastore.connecting import embedded_file
from dfpipe.posts.slices import Reading
from dfpipe.slices.hours import start_of

SUFFIX = ".parquet"
# The modules that make the contents of a slice out of posts: if one changes, all slices do.
MAKERS = (
    "dfpipe.analysis.text",
    "dfpipe.analysis.tokenizer",
    "dfpipe.analysis.tokenizing",
    "dfpipe.analysis.word_sets",
    "dfpipe.slices.tables",
    "dfpipe.slices.files",
)


def folder_of(reading: Reading) -> str:
    """Return the name of the folder of a run's slices."""
    parts = (_absolute(reading.source), reading.text, *sorted(reading.stop_words), _maker())
    return _digest("\n".join(parts))


def name_of(hour: int, state: str) -> str:
    """Return the name of a slice in its folder.

    >>> name_of(394_475, "4f2a")
    '2015-01-01T11-4f2a.parquet'
    """
    return f"{prefix_of(hour)}-{state}{SUFFIX}"


def prefix_of(hour: int) -> str:
    """Return what the names of all slices of an hour begin with, before the last hyphen."""
    return start_of(hour).isoformat()[:13]


def place_of(path: str) -> tuple[str, str] | None:
    """Return the folder and the hour of a slice's path; None for another file.

    >>> place_of("ab/2015-01-01T11-4f2a.parquet"), place_of("ab/.2015-01-01T11-4f2a.parquet.x.part")
    (('ab', '2015-01-01T11'), None)
    """
    folder, _, name = path.rpartition("/")
    is_slice = path.endswith(SUFFIX) and not name.startswith(".")
    return (folder, name.rpartition("-")[0]) if is_slice else None


def _absolute(source: str) -> str:
    file = embedded_file(source)
    return source if file is None else f"{Path(file).resolve()} {source.partition('?')[2]}"


@functools.cache
def _maker() -> str:
    """Return a digest of the program that makes slices.

    Python and regex bring the tables of Unicode and the parser of URLs.
    """
    versions = platform.python_version(), regex.__version__
    return _digest("\n".join([*versions, *map(_source, MAKERS)]))


def _source(module: str) -> str:
    """Return the source of a module, which is not imported for it."""
    spec = find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    return spec.loader.get_source(module) or ""


def _digest(content: str) -> str:
    return blake2b(content.encode(), digest_size=12).hexdigest()
