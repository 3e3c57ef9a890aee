"""JSON documents of a stream: a line each, over several lines, or the elements of a large array.

Memory is bounded, whatever is in the stream: an array is cut into its elements, and no other
document may be longer than MAX_DOCUMENT_BYTES or hold more than MOST_VALUES values.
"""

import io
import json
import re
from collections.abc import Callable, Iterator

import orjson

from dfpipe.posts.formats import grailbird
from dfpipe.posts.formats.result import ArchiveError, Skip

MAX_DOCUMENT_BYTES = 64 * 2**20
# A value of three bytes, as in [{},{},{}], takes seventy in memory.
MOST_VALUES = 4_000_000
HEAD_LINES = 100
PIECE = 2**20  # the most of a line that is read at a time
_AHEAD = 2**16  # bytes that are read ahead, and read again where a value ends in them

BROKEN = Skip("broken JSON")
NOT_UTF8 = Skip("not UTF-8")
TOO_MANY = Skip(f"a document of more than {MOST_VALUES:,} values")
BOM = b"\xef\xbb\xbf"
# No string holds a newline: a quote without its pair on the line is an error, or the pair is yet to
# be read.
_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*+"|["\[\]{},]')
# How an outbox of ActivityPub begins, which holds all posts of an account in one object.
_OUTBOX = re.compile(rb'\s*\{\s*"@context".{0,10000}?"orderedItems"\s*:\s*(?=\[)', re.DOTALL)
_MOST_START = 2**14  # bytes in which it matches
_QUOTE, _OPENING, _CLOSING = ord('"'), b"[{", b"]}"


def documents(name: str, stream: io.BufferedIOBase) -> Iterator[tuple[int, object]]:
    """Yield each JSON document with its line, or 0 where it is not a line of its own.

    That is an object over several lines, or an element of an array over several lines or of a very
    long one, which may be an outbox. A document that cannot be parsed is a Skip. Blank lines and a
    byte order mark are passed over. Raises ArchiveError for a document of more than
    MAX_DOCUMENT_BYTES.
    """
    reader = _Reader(name, stream)
    while line := reader.line():
        start = line.lstrip()
        if not start:
            continue
        is_script = grailbird.is_script(start)
        document = BROKEN if is_script or reader.is_cut else parse(start)
        if document is BROKEN and (is_script or reader.may_span(start)):
            yield from reader.spanning(grailbird.unwrap(start))
        else:
            yield reader.number, document


def parse(data: bytes) -> object:
    """Return the JSON document of a text in UTF-8, or the Skip that says why there is none.

    Half a surrogate pair, which some programs write, becomes U+FFFD, and NaN becomes null.
    """
    if len(data) > PIECE and sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        return TOO_MANY
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    is_odd = "\\ud" in text.lower() or "NaN" in text or "Infinity" in text
    return _parse_leniently(text) if is_odd else BROKEN


def _parse_leniently(text: str) -> object:
    try:
        written = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    except (ValueError, RecursionError):
        return BROKEN
    mended = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    try:
        return orjson.loads(mended)
    except orjson.JSONDecodeError:
        return BROKEN


def spans_lines(head: list[bytes]) -> bool:
    """Return whether a file that begins with these lines begins with a document over several."""
    first = next((line.lstrip() for line in head if not line.isspace()), b"")
    if grailbird.is_script(first) or first.strip() in (b"{", b"["):  # as `jq .` writes them
        return True
    if not first.startswith((b"{", b"[")) or not isinstance(parse(first), Skip):
        return False
    # A line that is an object shows that the first is merely a broken one, but in a list each may.
    return first.startswith(b"[") or not any(map(_is_object, head))


def _is_object(line: bytes) -> bool:
    return line.lstrip().startswith(b"{") and not isinstance(parse(line), Skip)


def _is_array(begun: bytes) -> bool:
    return begun.lstrip().startswith(b"[") or _OUTBOX.match(begun) is not None


class _Reader:
    """Reads lines, and values that go on over several."""

    def __init__(self, name: str, stream: io.BufferedIOBase) -> None:
        self._name = name
        self._stream = stream
        self._ahead = io.BytesIO(stream.read1(_AHEAD).removeprefix(BOM))
        self._begun = 1
        self._is_spanning = True
        self.number = 0  # of the last line, from 1
        self.is_cut = False  # it is the beginning of an array or an outbox too long for a line

    def line(self) -> bytes:
        """Return the next line, or the beginning of a very long one that is an array or outbox."""
        self.number = self._begun
        parts = [self._some()]
        size = len(parts[0])
        self.is_cut = size == PIECE and _is_array(parts[0])
        while not self.is_cut and parts[-1] and not parts[-1].endswith(b"\n"):
            parts.append(self._some())
            size += len(parts[-1])
            self._check_size(size)
        self._check_size(0 if self.is_cut else size)
        self._begun += parts[-1].endswith(b"\n")
        return b"".join(parts)

    def _some(self) -> bytes:
        some = self._ahead.readline(PIECE)
        if some.endswith(b"\n") or len(some) == PIECE:
            return some
        return some + self._stream.readline(PIECE - len(some))

    def _check_size(self, size: int) -> None:
        if size > MAX_DOCUMENT_BYTES:
            raise ArchiveError(
                f"{self._name} holds a document of over {MAX_DOCUMENT_BYTES:,} bytes: cut it into "
                "several, one post a line"
            )

    def may_span(self, line: bytes) -> bool:
        """Return whether a line that cannot be parsed may be the beginning of a longer value."""
        if self.is_cut:
            return True
        if not self._is_spanning or not line.startswith((b"{", b"[")):
            return False
        head = self._look_ahead().split(b"\n", HEAD_LINES)[:HEAD_LINES]
        return spans_lines([line, *head])

    def _look_ahead(self) -> bytes:
        """Return what comes next, with the end of a line if it is not too far."""
        ahead = self._ahead.read()
        while len(ahead) < _AHEAD or (len(ahead) < PIECE and b"\n" not in ahead):
            more = self._stream.read1(_AHEAD)
            if not more:
                break
            ahead += more
        self._push_back(ahead)
        return ahead

    def spanning(self, begun: bytes) -> Iterator[tuple[int, object]]:
        """Yield the elements of the array, or the object, that begins here, each with 0.

        If it is broken, what follows is read by lines again, from the line after the error on.
        """
        while not begun.lstrip() and (more := self._read(_AHEAD)):
            begun = more.lstrip()
        while begun.startswith(b"{") and len(begun) < _MOST_START and (more := self._read(_AHEAD)):
            begun += more
        outbox = _OUTBOX.match(begun)
        scanner = _Scanner(begun, self._read, self._check_size)
        if outbox:
            found = scanner.elements_within(outbox.end())
        else:
            found = scanner.elements() if begun.startswith(b"[") else scanner.value()
        yield from ((0, document) for document in found)
        self._is_spanning = not scanner.is_broken
        if scanner.is_broken:
            yield self.number + scanner.lines(), BROKEN
        left = scanner.left()
        self._begun = self.number + scanner.lines()
        self._push_back(left)

    def _read(self, size: int) -> bytes:
        return self._ahead.read() or self._stream.read1(size)

    def _push_back(self, data: bytes) -> None:
        self._ahead = io.BytesIO(data + self._ahead.read())


class _Scanner:
    """Finds where values end, without parsing them; holds one value and a little more."""

    def __init__(
        self, begun: bytes, read: Callable[[int], bytes], check_size: Callable[[int], None]
    ) -> None:
        self._buffer = begun
        self._read = read
        self._check_size = check_size
        self._at = 0
        self._lines = 0  # ended before the buffer
        self.is_broken = False

    def elements(self) -> Iterator[object]:
        """Yield the elements of the array that begins at the present place."""
        end, is_last = self._at, False
        while not is_last:
            self._at = end + 1
            end = self._end(self._at, b",]}")
            if self.is_broken:
                return
            self._check_size(end - self._at)
            data = self._buffer[self._at : end]
            is_last = self._buffer[end : end + 1] != b","
            if data.strip() or not is_last:
                yield parse(data)
        self._at = end + 1

    def elements_within(self, start: int) -> Iterator[object]:
        """Yield the elements of the array at `start`, in the object at the present place."""
        self._at = start
        yield from self.elements()
        end = self._at if self.is_broken else self._end(self._at, b"}")
        self._at = end if self.is_broken else end + 1

    def value(self) -> Iterator[object]:
        """Yield the object that begins at the present place."""
        end = self._end(self._at + 1, b"]}") + 1
        if not self.is_broken:
            self._check_size(end - self._at)
            yield parse(self._buffer[self._at : end])
            self._at = end

    def left(self) -> bytes:
        """Return what comes after the last value, or after the line of the error."""
        if self.is_broken:
            self._at = self._buffer.find(b"\n", self._at) + 1 or len(self._buffer)
        return self._buffer[self._at :].lstrip(b" \t\r;")

    def lines(self) -> int:
        """Return how many lines ended before the present place."""
        return self._lines + self._buffer.count(b"\n", 0, self._at)

    def _end(self, place: int, stops: bytes) -> int:
        """Return the place of the first of the stops that is in no string and no inner value."""
        depth = 0
        while True:
            is_open_string = False
            for token in _TOKEN.finditer(self._buffer, place):
                place = token.start()
                kind = self._buffer[place]
                if depth == 0 and kind in stops:
                    return place
                is_open_string = kind == _QUOTE and token.end() - place == 1
                if is_open_string:
                    break
                depth += (kind in _OPENING) - (kind in _CLOSING)
                place = token.end()
            before = self._at
            is_wrong = is_open_string and self._buffer.find(b"\n", place) >= 0
            self.is_broken = is_wrong or not self._fill()
            if self.is_broken:
                return place
            place -= before

    def _fill(self) -> bool:
        held = len(self._buffer) - self._at
        self._check_size(held)
        data = self._read(max(held, _AHEAD))
        self._lines += self._buffer.count(b"\n", 0, self._at)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return bool(data)
