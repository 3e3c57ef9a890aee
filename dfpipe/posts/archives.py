"""Archives as what is in them: posts, deletions, and files without either."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path

from dfpipe.posts.compression import is_compressed
from dfpipe.posts.containers import (
    ArchiveFile,
    Entry,
    Failure,
    Member,
    PassedOver,
    Warned,
    members,
    reading,
)
from dfpipe.posts.formats import foreign, grailbird, v2
from dfpipe.posts.formats.grailbird import LongText, LongTexts
from dfpipe.posts.formats.json_stream import (
    BOM,
    BROKEN,
    HEAD_LINES,
    MAX_DOCUMENT_BYTES,
    NOT_UTF8,
    PIECE,
    TOO_MANY,
    documents,
    parse,
    spans_lines,
)
from dfpipe.posts.formats.recognise import FileFormat, file_format, results
from dfpipe.posts.formats.result import (
    UNKNOWN,
    ArchiveError,
    Result,
    Skip,
    UnknownFormatError,
    shielded,
)

# A file is in no known format when this many records at its beginning are in none.
HEAD_RECORDS = 100

_UNREADABLE = (UNKNOWN, BROKEN, NOT_UTF8, TOO_MANY)

Found = Result | LongText | PassedOver | Failure | Warned


class _EmptyFileError(Exception):
    """A file that holds nothing, or a table without rows; the message says which."""


def read(source: ArchiveFile) -> Iterator[tuple[str, Found]]:
    """Yield what is in an archive, with its place: "posts:12" is a line, "posts:item 3" an element.

    A file that cannot be read gives a Failure, after what could be read of it, and ends nothing but
    itself. In a folder or a container, files that are in no known format are passed over.
    """
    is_empty, failed = True, ""
    for entry in members(source):
        is_empty = False
        for place, found in _entry(entry, source):
            if isinstance(found, Failure):
                if failed.startswith(f"{found.name}/"):
                    continue  # the archive is damaged where that member of it was
                failed = found.name
            yield place, found
    if is_empty:
        yield source.name, _empty(source.name, "is empty")


def long_texts(sources: Iterable[ArchiveFile]) -> LongTexts:
    """Return the long texts in some archives, without reading anything else in them."""
    texts = LongTexts()
    for source in sources:
        for member in members(source):
            if isinstance(member, Member) and _holds(member) == grailbird.LONG_TEXTS:
                for _, found in _found(member, source.columns):
                    if isinstance(found, LongText):
                        texts.add(found)
    return texts


def grows_by_lines(path: Path) -> bool:
    """Return whether a file is plain text with documents on lines of their own, as a log grows.

    Raises OSError.
    """
    with path.open("rb") as raw:
        head = raw.read(PIECE)
    if is_compressed(head) or foreign.seems(head) or file_format(head):
        return False
    lines = head.removeprefix(BOM).split(b"\n", HEAD_LINES)[:HEAD_LINES]
    has_one_begun = len(lines) == 1
    return has_one_begun or not spans_lines(lines)


def _entry(entry: Entry, source: ArchiveFile) -> Iterator[tuple[str, Found]]:
    if isinstance(entry, Member):
        yield from _found(entry, source.columns)
    else:
        yield source.name, entry


def _holds(member: Member) -> str | None:
    return grailbird.contents(member.head) if grailbird.is_script(member.head) else None


def _found(member: Member, columns: Mapping[str, str]) -> Iterator[tuple[str, Found]]:
    holds = _holds(member)
    if holds not in (None, grailbird.POSTS, grailbird.LONG_TEXTS):
        yield member.name, PassedOver(holds)
        return
    try:
        with reading(member.name):
            for place, found in _known(member, _records(member, holds, columns)):
                yield f"{member.name}:{place}", found
    except _EmptyFileError as error:
        empty = _empty(member.name, str(error))
        yield member.name, empty if member.is_alone else PassedOver(foreign.EMPTY)
    except UnknownFormatError as error:
        failure = Failure(member.name, error)
        yield member.name, failure if member.is_alone else PassedOver(foreign.OTHER)
    except ArchiveError as error:
        yield member.name, Failure(member.name, error)


def _empty(name: str, what: str) -> Warned:
    return Warned(f"{name} {what}: name a file with posts")


def _records(
    member: Member, holds: str | None, columns: Mapping[str, str]
) -> Iterator[tuple[str, Result | LongText]]:
    if known := file_format(member.head):
        yield from _file_records(member, known, columns)
        return
    if kind := foreign.seems(member.head):
        raise UnknownFormatError(f"{member.name} seems to be {kind[0]}: {kind[1]}")
    referred = _referred(member)
    is_empty, items = True, count(1)
    for line, document in documents(member.name, member.stream):
        is_empty = False
        place = str(line) if line else f"item {next(items)}"
        if isinstance(document, Skip):
            yield place, document
            continue
        if holds == grailbird.LONG_TEXTS:
            found: Iterator[Result | LongText] = grailbird.long_texts(document)
        else:
            found = shielded(v2.data_results(document, referred)) if referred else results(document)
        yield from ((place, result) for result in found)
    if is_empty:
        raise _EmptyFileError("is empty")


def _file_records(
    member: Member, known: FileFormat, columns: Mapping[str, str]
) -> Iterator[tuple[str, Result]]:
    is_empty = True
    try:
        for record in known.results(member.stream, columns):
            is_empty = False
            yield record
    except ArchiveError as error:
        raise type(error)(f"{member.name}: {error}") from error
    if is_empty:
        raise _EmptyFileError(f"is a {known.name} without posts")


def _referred(member: Member) -> v2.Included | None:
    """Return what the tweets of a file refer to, where that is in a file beside it, or None."""
    tweets, users = v2.page_files(member.name) or ("", "")
    other = users.rpartition("/")[2]
    data = member.beside(other, MAX_DOCUMENT_BYTES + 1) if tweets == member.name else None
    if data is None:
        return None
    includes = parse(data) if len(data) <= MAX_DOCUMENT_BYTES else None
    if not (isinstance(includes, dict) and v2.is_includes(includes)):
        raise ArchiveError(
            f"{member.name} has the names of its users in {other}, which cannot be read: get both "
            "again, or move that file away"
        )
    return v2.included(includes)


def _known(
    member: Member, records: Iterator[tuple[str, Result | LongText]]
) -> Iterator[tuple[str, Result | LongText]]:
    """Yield the records, but none before one in a known format is found."""
    head: list[tuple[str, Result | LongText]] = []
    for place, found in records:
        if found not in _UNREADABLE:
            yield from chain(head, [(place, found)], records)
            return
        head.append((place, found))
        if len(head) == HEAD_RECORDS:
            break
    if head:
        raise _no_known_format(member, *head[0])


def _no_known_format(member: Member, place: str, first: Result | LongText) -> ArchiveError:
    if first == BROKEN and not member.head.lstrip().startswith((b"{", b"[")):
        what = f"{member.name} seems to be plain text"
    else:
        reason = first.reason if isinstance(first, Skip) else ""
        what = f"{member.name}:{place}: {reason}, like the records after it"
    return UnknownFormatError(
        f"{what}. Give posts as JSON lines of this project, as X, Bluesky or Mastodon write them, "
        "or as a table (CSV, Parquet), in UTF-8, plain or as gz, bz2, xz, zst, zip or tar"
    )
