"""Reading the tokens of a window: slices from the cache, and what has changed from the store."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Reads, TokenBatch, tokenize
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
                yield Piece(table, Reads(slices_cached=int(n == 0)))
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
        piece: Piece | None = None
        under_way = _Slice(hours[0])
        for columns in post_columns(rows):
            if piece is not None:
                yield piece
            created = _times(columns[PROPERTIES.index("created_at")])
            batch = PostBatch(*columns[: len(PROPERTIES)])
            tokens = tokenize(batch, self._tokenizer, is_recent=False, times=created)
            table, made = table_of(batch, tokens, created), 0
            for hour, start, end in _by_hour(created):
                if hour != under_way.hour:
                    made += self._keep(under_way)
                    under_way = _Slice(hour)
                versions = _versions([column[start:end] for column in columns], created[start:end])
                under_way.add(table.slice(start, end - start), versions)
            piece = Piece(table, Reads(len(table), slices_made=made), tokens)
        if piece is not None:
            made = self._keep(under_way)
            yield replace(piece, reads=piece.reads + Reads(slices_made=made))

    def _keep(self, made: "_Slice") -> int:
        """Keep a slice in place of older ones of its hour; return how many are kept: 1 or 0."""
        found = made.state()
        if found is None:
            return 0
        name = naming.name_of(made.hour, found)
        others = {e for e in self._known if e.startswith(f"{naming.prefix_of(made.hour)}-")}
        others -= {name}
        try:
            path = f"{self._within}/{name}"
            self._folder.write(path, made.writer.finish(path, self._about))
            self._folder.remove([f"{self._within}/{other}" for other in others])
        except OSError as error:
            _LOG.warning("the cache cannot be written to: %s", error)
            return 0
        self._known -= others
        return 1


class _Slice:
    """The slice of an hour, while its posts are read."""

    def __init__(self, hour: int) -> None:
        self.hour = hour
        self.writer = files.Writer()
        self._versions: list[Versions | None] = []

    def add(self, table: pa.Table, versions: Versions | None) -> None:
        """Add posts; their versions are None if another program has stored one of them."""
        self.writer.add(table)
        self._versions.append(versions)

    def state(self) -> str | None:
        """Return the state of the hour; None without posts, or if it has no state.

        A post without a version can change unnoticed.
        """
        known = [each for each in self._versions if each is not None]
        if not known or len(known) < len(self._versions):
            return None
        return state(np.concatenate(known))


def _by_hour(created: Ints) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each hour of posts in the order of time, and which posts are its own."""
    hours = created // HOUR
    bounds = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
    for start, end in pairwise(bounds):
        yield int(hours[start]), start, end


def _versions(columns: Columns, created: Ints) -> Versions | None:
    """Return what tells the versions of posts apart; None if another program has stored one."""
    *_, tids, _, stored, checksums = columns
    try:
        numbers = [_integers(tids), created, _times(stored), _integers(checksums)]
    except (pa.ArrowException, OverflowError, ValueError):
        return None
    return np.stack(numbers, axis=1)


def _times(values: Sequence[Any]) -> Ints:
    return _no_nulls(pa.array(values, TIME).view(pa.int64()))


def _integers(values: Sequence[Any]) -> Ints:
    return _no_nulls(pa.array(values, pa.int64()))


def _no_nulls(array: pa.Array) -> Ints:
    """Return the numbers of an array. Raises ArrowInvalid for a null."""
    numbers: Ints = array.to_numpy(zero_copy_only=True)
    return numbers
