"""The repository of an account of Bluesky as a CAR file, which `getRepo` and the app's export give.

A CAR file is a header, then blocks of DAG-CBOR in any order, each after its length and its CID
(https://ipld.io/specs/transport/car/carv1/). Some blocks are records; the nodes of a tree say under
which key each record is kept (https://atproto.com/specs/repository).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from libipld import decode_dag_cbor

from dfpipe.posts.formats.bluesky import POSTS, REPOSTS, record_result
from dfpipe.posts.formats.result import ArchiveError, Json, Result

_ROOTS = b"eroots"  # a key of the header, which is a map of two
_CID = b"\x01\x71\x12\x20"  # how the CID of a block begins: version 1, DAG-CBOR, SHA-256
_CID_BYTES = len(_CID) + 32
_PREFIXES = tuple(f"{collection}/".encode() for collection in (POSTS, REPOSTS))
_CUT = "it ends early"
MOST_KEY = 1_024  # bytes, as the protocol has it
MOST_BLOCK = 4 * 2**20  # bytes; a record may have 1 MiB
MOST_HELD = 2**30  # bytes of posts and reposts


def is_car(head: bytes) -> bool:
    """Tell whether a file that begins so is one."""
    return _ROOTS in head[:16]


def results(stream: BinaryIO, _: Mapping[str, str]) -> Iterator[tuple[str, Result]]:
    """Yield the account's posts and reposts by their keys, whose order is that of time.

    Other records, such as likes, are passed over. Memory holds the posts, the reposts and their
    keys. Raises ArchiveError for a file that is damaged or ends early.
    """
    try:
        repository = _read(stream)
        for key, cid in sorted(repository.keys.items()):
            record = decode_dag_cbor(repository.records[cid])
            yield key, record_result(f"at://{repository.did}/{key}", record)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArchiveError(f"a damaged CAR file ({error}): export it again") from error


@dataclass(slots=True)
class _Repository:
    """The account; its posts and reposts by their CIDs; these by their keys; nodes of the tree."""

    did: str = ""
    records: dict[bytes, bytes] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    nodes: set[bytes] = field(default_factory=set)
    known_nodes: set[bytes] = field(default_factory=set)

    def is_whole(self) -> bool:
        """Return whether the commit is there, and all that blocks name."""
        has_records = self.records.keys() >= set(self.keys.values())
        return bool(self.did) and self.known_nodes <= self.nodes and has_records


def _read(stream: BinaryIO) -> _Repository:
    """Raises ValueError, and what else blocks of an odd shape lead to."""
    (root,) = decode_dag_cbor(next(_sections(stream), b""))["roots"]
    found, held = _Repository(), 0
    for cid, data in _blocks(stream):
        block = decode_dag_cbor(data)
        if not isinstance(block, dict):
            raise ValueError("a block is not a map")
        if cid == root:
            found.did = block["did"]
            found.known_nodes.add(block["data"])
        elif block.get("$type") in (POSTS, REPOSTS):
            found.records[cid] = data
            held += len(data)
            if held > MOST_HELD:
                raise ValueError(f"over {MOST_HELD // 2**30} GiB of posts")
        elif "e" in block and "l" in block:
            found.nodes.add(cid)
            found.known_nodes.update(filter(None, (block["l"], *(e["t"] for e in block["e"]))))
            found.keys.update(_entries(block["e"]))
    if not found.is_whole():
        raise ValueError(_CUT)
    return found


def _entries(entries: list[Json]) -> Iterator[tuple[str, bytes]]:
    """Yield the keys of posts and reposts in a node of the tree, and the CIDs of the records.

    An entry has the end of its key, and how many bytes it shares with the key before it.
    """
    key = b""
    for entry in entries:
        key = key[: entry["p"]] + entry["k"]
        if len(key) > MOST_KEY:
            raise ValueError(f"a key of over {MOST_KEY:,} bytes")
        if key.startswith(_PREFIXES):
            yield key.decode(), entry["v"]


def _blocks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    for section in _sections(stream):
        cid, data = section[:_CID_BYTES], section[_CID_BYTES:]
        if not cid.startswith(_CID):
            continue  # a picture, if anything
        if hashlib.sha256(data).digest() != cid[len(_CID) :]:
            raise ValueError("a block is not what its CID says")
        yield cid, data


def _sections(stream: BinaryIO) -> Iterator[bytes]:
    while (size := _length(stream)) is not None:
        if size > MOST_BLOCK:
            raise ValueError(f"a block of {size:,} bytes")
        section = stream.read(size)
        if len(section) < size:
            raise ValueError(_CUT)
        yield section


def _length(stream: BinaryIO) -> int | None:
    """Return the next number, in pieces of seven bits, the lowest first; None at the end."""
    number = shift = 0
    while byte := stream.read(1):
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return number
        if shift > 63:
            raise ValueError("a block without a length")
    if shift:
        raise ValueError(_CUT)
    return None
