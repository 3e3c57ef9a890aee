"""The names of slices, which say all that their contents depend on.

A slice is the file FOLDER/HOUR-STATE.parquet. The folder is named by a digest of what the slices of
a run have in common; another program or another setting gives another folder.
"""

import functools
import inspect
import platform
from hashlib import blake2b
from pathlib import Path

import regex

from dfpipe.analysis import text, tokenizing
from dfpipe.datastore.connecting import embedded_file
from dfpipe.posts.slices import Reading
from dfpipe.slices import files, tables
from dfpipe.slices.hours import start_of

SUFFIX = ".parquet"
# The modules that make the contents of a slice out of posts: if one changes, all slices do.
MAKERS = (text, tokenizing, tables, files)


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
    return _digest("\n".join([*versions, *map(inspect.getsource, MAKERS)]))


def _digest(content: str) -> str:
    return blake2b(content.encode(), digest_size=12).hexdigest()
