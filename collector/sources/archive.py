"""Archives in a file or a folder, in any format that dfpipe reads, while they grow."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

import orjson

from collector.settings import CollectorSettings
from collector.sources import AccountRefusedError, Found, Limits, Page, PostSource, UnavailableError
from dfpipe.posts.archives import grows_by_lines, long_texts
from dfpipe.posts.archives import read as read_archive
from dfpipe.posts.containers import ArchiveFile, Failure
from dfpipe.posts.formats.json_stream import parse
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import ArchiveError, Result, Skip, UnknownFormatError
from dfpipe.posts.formats.v11 import NOTICE
from dfpipe.posts.formats.x_posts import WITHHELD
from dfpipe.posts.post import Post

NOTES = "note-tweet*.js"  # of a personal archive, beside its tweets
FORMS = ("/FOLDER/FILE_OR_FOLDER",)
PAGE = 400
MOST_CHUNK = 4 * 2**20  # bytes of whole lines that are read at a time
# Records of an archive that are not posts, and not errors either.
_PASSED_OVER = (NOTICE, WITHHELD)


def canonical(name: str) -> str | None:
    """The path, which must be absolute: the service runs in another folder than the command."""
    return os.path.normpath(name) if name.startswith("/") and "\0" not in name else None


def read(raw: object) -> Iterator[Result]:
    """Read a document, or a line that could not be parsed."""
    document = parse(raw.encode()) if isinstance(raw, str) else raw
    if isinstance(document, Skip):
        yield document
    else:
        yield from results(document)


def open_source(settings: CollectorSettings, limits: Limits) -> PostSource:
    """The source that reads archives from this machine's files."""
    return Archives()


@dataclass(slots=True)
class _Place:
    """How far a file is read: its size and time then, and bytes or records that are done."""

    size: int
    time: int
    done: int


# What a watermark or a progress holds: the places in the files by their paths.
_Places = dict[str, _Place]


class Archives:
    """Reads the lines that a file has grown by, and other archives whole when they have changed."""

    def start(self, time: datetime) -> str:
        """Nothing is read, whenever it was written."""
        return "{}"

    def pages(self, name: str, watermark: str, progress: str | None) -> Iterator[Page]:
        """Yield what is new in the files, in the order of their paths.

        A damaged file is set aside, and read again when it has changed. In a folder, files without
        posts (pictures, notes) are passed over.
        """
        places = _unpacked(progress or watermark)
        there = list(_files(Path(name)))
        for path in there:
            yield from self._file(path, places, is_alone=path == Path(name))
        names = set(map(str, there))
        left = {path: place for path, place in places.items() if path in names}
        yield Page([], watermark=_packed(left))

    def _file(self, path: Path, places: _Places, is_alone: bool) -> Iterator[Page]:
        try:
            state = path.stat()
            by_lines = grows_by_lines(path)
        except OSError as error:
            raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
        place = places.setdefault(str(path), _Place(0, 0, 0))
        if state.st_size < place.size or (by_lines and place.done < 0):
            place.done = 0  # another file of that name
        if by_lines:
            pages = _new_lines(path, place, is_alone)
        elif (state.st_size, state.st_mtime_ns) == (place.size, place.time) and place.done < 0:
            return
        else:
            pages = _whole(path, place, state.st_size, state.st_mtime_ns, is_alone)
        for found in pages:
            yield Page(found, progress=_packed(places))


def _files(path: Path) -> Iterator[Path]:
    """The file, or the files of the folder and those in it; hidden ones are passed over."""
    if not path.exists():
        raise AccountRefusedError(f"{path} does not exist: make it, and follow it again")
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_file() and not any(part.startswith(".") for part in parts):
            yield file


def _new_lines(path: Path, place: _Place, is_alone: bool) -> Iterator[list[Found]]:
    """Yield what is in the lines after the place, as far as they are ended."""
    if place.done == 0 and (refusal := _refusal(path)):
        # Looked at again each time: the file may only have begun.
        if is_alone:
            yield [_unreadable(path, refusal)]
        return
    with path.open("rb") as file:
        file.seek(place.done)
        while lines := file.readlines(MOST_CHUNK):
            if not _is_ended(lines[-1]):
                lines.pop()
            for start in range(0, len(lines), PAGE):
                some = lines[start : start + PAGE]
                found = [f for line in some for f in _line(path, line)]
                place.done += sum(map(len, some))
                place.size = place.done
                yield found
            if not lines:
                return


def _is_ended(line: bytes) -> bool:
    return line.endswith(b"\n") or isinstance(parse(line), dict | list)


def _line(path: Path, line: bytes) -> Iterator[Found]:
    if line.isspace():
        return
    document = parse(line)
    if isinstance(document, Skip):
        yield Found(document, line.decode(errors="replace"))
        return
    for result in results(document):
        if not _is_passed_over(result):
            yield Found(result, document)


def _is_passed_over(result: Result) -> bool:
    return isinstance(result, Skip) and result.reason in _PASSED_OVER


def _whole(
    path: Path, place: _Place, size: int, time: int, is_alone: bool
) -> Iterator[list[Found]]:
    """Yield what an archive holds that is read from its beginning; again where it has changed."""
    if (size, time) != (place.size, place.time):
        place.size, place.time, place.done = size, time, 0
    found = _records(path, is_alone)
    for _ in islice(found, place.done):
        pass
    while some := list(islice(found, PAGE)):
        place.done += len(some)
        yield [one for one in some if not _is_passed_over(one.result)]
    place.done = -1
    yield []


def _records(path: Path, is_alone: bool) -> Iterator[Found]:
    """Yield what an archive holds; long posts of a personal archive whole."""
    texts = long_texts(map(_archive, (path, *sorted(path.parent.glob(NOTES)))))
    for place, found in read_archive(_archive(path)):
        if isinstance(found, Result):
            result = texts.whole(found) if isinstance(found, Post) else found
            yield Found(result, {"file": str(path), "place": place}, place)
        elif isinstance(found, Failure) and (
            is_alone or not isinstance(found.error, UnknownFormatError)
        ):
            yield _unreadable(path, found.error)


def _archive(path: Path) -> ArchiveFile:
    return ArchiveFile(str(path), path)


def _refusal(path: Path) -> ArchiveError | None:
    """Why a file is not an archive, if it has content but no post at its beginning."""
    _, found = next(read_archive(_archive(path)), ("", None))
    return found.error if isinstance(found, Failure) else None


def _unreadable(path: Path, error: ArchiveError) -> Found:
    return Found(Skip(str(error)), {"file": str(path)}, str(path))


def _packed(places: _Places) -> str:
    values = {path: [place.size, place.time, place.done] for path, place in places.items()}
    return orjson.dumps(values).decode()


def _unpacked(text: str) -> _Places:
    return {path: _Place(*values) for path, values in orjson.loads(text).items()}
