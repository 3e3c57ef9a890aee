"""Repositories of Bluesky accounts as CAR files, made by hand."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from libipld import encode_dag_cbor

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def block(value: Any) -> tuple[bytes, bytes]:
    """The CID and the bytes of a value."""
    data = encode_dag_cbor(value)
    return b"\x01\x71\x12\x20" + hashlib.sha256(data).digest(), data


def node(entries: Sequence[tuple[str, bytes]], below: bytes | None = None) -> dict[str, Any]:
    """A node of the tree with some keys and CIDs, the keys shortened as they are in one."""
    found, before = [], b""
    for name, cid in entries:
        key = name.encode()
        shared = next(n for n in range(len(key) + 1) if key[: n + 1] != before[: n + 1])
        found.append({"p": shared, "k": key[shared:], "v": cid, "t": None})
        before = key
    return {"l": below, "e": found}


def car(records: Mapping[str, Any], did: str = DID, nodes: int = 2) -> bytes:
    """The repository of some records under their keys, the tree in some nodes, records last."""
    made = {key: block(record) for key, record in sorted(records.items())}
    entries = [(key, cid) for key, (cid, _) in made.items()]
    tree: list[tuple[bytes, bytes]] = []
    for n in range(nodes):
        tree.append(block(node(entries[n::nodes], tree[-1][0] if tree else None)))
    commit = block({"did": did, "rev": "3l", "data": tree[-1][0], "sig": b"x", "version": 3})
    return packed(commit[0], [commit, *tree, *made.values()])


def packed(root: bytes, blocks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Blocks as a CAR file."""
    header = encode_dag_cbor({"roots": [root], "version": 1})
    return b"".join(map(_section, (header, *(cid + data for cid, data in blocks))))


def _section(data: bytes) -> bytes:
    number, length = len(data), b""
    while number > 0x7F:
        length += bytes([number & 0x7F | 0x80])
        number >>= 7
    return length + bytes([number]) + data
