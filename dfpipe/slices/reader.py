"""Reading the tokens of a window: slices from the cache, and what has changed from the store."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Reads, TokenBatch
from dfpipe.datastore import connect, fetch_values
from dfpipe.posts.post import VERSION
from dfpipe.posts.reading import BATCH, PROPERTIES, Reader, post_columns
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices import files, naming
from dfpipe.slices.folder import File
from dfpipe.slices.folders import folder
from dfpipe.slices.hours import HOUR, hours_of
from dfpipe.slices.states import Versions, look, posts_of, state
from dfpipe.slices.tables import TIME, Piece, table_of, token_batches

Ints = npt.NDArray[np.int64]
Columns = list[tuple[Any, ...]]  # of some posts: PROPERTIES, stored_at and checksum
_LOG = logging.getLogger(__name__)


def tokens_of(reading: Reading) -> Callable[[Any], Iterator[TokenBatch]]:
    """Return a function that gives the tokens of a part. Raises DfpipeError."""
    reader: SliceReader | Reader = SliceReader(reading) if reading.cache else Reader(reading)
    return reader.tokens


class SliceReader:
    """Gives the tokens of parts of a window; keeps a slice of each hour that it had to read.

    A slice is named by the versions of the very posts in it, as they were read: whatever is written
    to the store meanwhile, and whoever else makes slices, its name is true.
    """

    def __init__(self, reading: Reading) -> None:
        """Connect to the store, and list the slices. Raises DfpipeError."""
        assert reading.cache is not None
        self._client = connect(reading.source, create=False)
        self._tokenizer = Tokenizer(reading.text, reading.stop_words)
        self._folder = folder(reading.cache)
        self._within = naming.folder_of(reading)
        self._about = {"dfpipe.source": reading.source, "dfpipe.text": reading.text}
        self._known = {file.path.rpartition("/")[2] for file in self._files()}
        self._hours = {name.rpartition("-")[0] for name in self._known}

    def _files(self) -> list[File]:
        try:
            return self._folder.files(self._within)
        except OSError as error:
            # A cache that fails costs time, not the run.
            _LOG.warning("the cache cannot be listed: %s", error)
            return []

    def tokens(self, part: Window) -> Iterator[TokenBatch]:
        """Give the tokens of a part that begins and ends at full hours, or where the window does.

        They come in batches of about BATCH posts.
        """
        pieces: list[Piece] = []
        size = 0
        for piece in self._pieces(hours_of(part)):
            if size + len(piece.table) > BATCH and pieces:
                yield from token_batches(pieces, part)
                pieces, size = [], 0
            pieces.append(piece)
            size += len(piece.table)
        if pieces:
            yield from token_batches(pieces, part)

    def _pieces(self, hours: range) -> Iterator[Piece]:
        # A new store or new options: to ask for the states of posts would be a query for nothing.
        if not any(map(self._has, hours)):
            yield from self._read(hours)
            return
        listing = look(self._client, hours)
        changed: list[int] = []
        for hour in sorted({*listing.states, *listing.stateless}):
            tables = self._cached(hour, listing.states.get(hour))
            if tables is None:
                changed.append(hour)
                continue
            # The hours before a cached one, by one query: pieces come in the order of time.
            yield from self._read(changed)
            changed = []
            for n, table in enumerate(tables):
                yield Piece(table, Reads(slices_cached=int(n == 0)), is_cached=True)
        yield from self._read(changed)

    def _has(self, hour: int) -> bool:
        """Whether there is a slice of an hour, of whatever state."""
        return naming.prefix_of(hour) in self._hours

    def _cached(self, hour: int, found: str | None) -> list[pa.Table] | None:
        """Return the tables of a slice; None if it is not in the cache, or not whole."""
        name = "" if found is None else naming.name_of(hour, found)
        if name not in self._known:
            return None
        try:
            path = f"{self._within}/{name}"
            return files.read(self._folder.read(path), path)
        except (OSError, files.DamagedSliceError) as error:
            _LOG.warning("%s", error)
            return None

    def _read(self, hours: Sequence[int]) -> Iterator[Piece]:
        """Read hours between which there are no posts, by one query, and keep their slices."""
        if not hours:
            return
        query = posts_of(self._client, range(hours[0], hours[-1] + 1))
        rows = fetch_values(query, *PROPERTIES, *VERSION[1:])
        parts = (part for columns in post_columns(rows) for part in _by_hour(columns))
        for hour, group in groupby(parts, itemgetter(0)):
            yield from self._made(hour, ((columns, created) for _, columns, created in group))

    def _made(self, hour: int, batches: Iterator[tuple[Columns, Ints]]) -> Iterator[Piece]:
        """Make the slice of an hour; the last of its pieces is given once it is kept."""
        writer, versions = files.Writer(), []
        piece: Piece | None = None
        for columns, created in batches:
            if piece is not None:
                yield piece
            table = table_of(PostBatch(*columns[: len(PROPERTIES)]), self._tokenizer, created)
            writer.add(table)
            versions.append(_versions(columns, created))
            piece = Piece(table, Reads(len(table)), is_cached=False)
        if piece is not None:
            made = int(self._keep(hour, writer, versions))
            yield replace(piece, reads=piece.reads + Reads(slices_made=made))

    def _keep(self, hour: int, writer: files.Writer, versions: list[Versions | None]) -> bool:
        """Keep a slice in place of older ones of its hour; say whether it could be."""
        # A post without a version can change unnoticed, so its hour is not kept.
        known = [each for each in versions if each is not None]
        if len(known) < len(versions):
            return False
        name = naming.name_of(hour, state(np.concatenate(known)))
        others = {each for each in self._known if each.startswith(f"{naming.prefix_of(hour)}-")}
        others -= {name}
        try:
            path = f"{self._within}/{name}"
            self._folder.write(path, writer.finish(path, self._about))
            self._folder.remove([f"{self._within}/{other}" for other in others])
        except OSError as error:
            _LOG.warning("the cache cannot be written to: %s", error)
            return False
        self._known -= others
        return True


def _by_hour(columns: Columns) -> Iterator[tuple[int, Columns, Ints]]:
    """Cut posts in the order of time where an hour ends.

    Yield the number of each hour, its posts, and their `created_at` in microseconds.
    """
    created = _times(columns[PROPERTIES.index("created_at")])
    hours = created // HOUR
    bounds = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
    for start, end in pairwise(bounds):
        yield int(hours[start]), [column[start:end] for column in columns], created[start:end]


def _versions(columns: Columns, created: Ints) -> Versions | None:
    """Return what tells the versions of posts apart; None if another program has stored one."""
    *_, tids, _, stored, checksums = columns
    try:
        numbers = [_integers(tids), created, _times(stored), _integers(checksums)]
    except (pa.ArrowException, OverflowError, ValueError):
        return None
    return np.stack(numbers, axis=1)


def _times(values: Sequence[Any]) -> Ints:
    return _no_nulls(pa.array(values, TIME).cast(pa.int64()))


def _integers(values: Sequence[Any]) -> Ints:
    return _no_nulls(pa.array(values, pa.int64()))


def _no_nulls(array: pa.Array) -> Ints:
    """Return the numbers of an array. Raises ArrowInvalid for a null."""
    numbers: Ints = array.to_numpy(zero_copy_only=True)
    return numbers
