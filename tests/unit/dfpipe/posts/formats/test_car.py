"""Repositories of Bluesky accounts."""

import contextlib
import io
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libipld import decode_car, encode_dag_cbor

from dfpipe.posts.formats import car as car_format
from dfpipe.posts.formats.recognise import file_format, results
from dfpipe.posts.formats.result import ArchiveError, Post, Result
from tests.support.car_files import DID, block, car, node, packed

POST = {"$type": "app.bsky.feed.post", "text": "Storm", "createdAt": "2025-05-19T17:24:22.643Z"}
LIKE = {"$type": "app.bsky.feed.like", "createdAt": "2025-05-19T17:24:22.643Z"}
URI = "at://did:plc:ben/app.bsky.feed.post/3lpk3nnns5u2b"
REPOST = {
    "$type": "app.bsky.feed.repost",
    "subject": {"uri": URI, "cid": "bafy"},
    "createdAt": "2025-05-19T18:00:00.000Z",
}
KEYS = ["3lpk3nnns5u2b", "3lpk3nnns5u2c", "3lpk3nnnz5u2d", "3lpm3nnns5u2e", "self"]
RECORDS = st.dictionaries(
    st.sampled_from([f"app.bsky.feed.post/{key}" for key in KEYS]),
    st.fixed_dictionaries({"text": st.text(max_size=9)}).map(lambda record: POST | record),
)


def read(data: bytes) -> list[tuple[str, Result]]:
    return list(car_format.results(io.BytesIO(data), {}))


def shuffled(data: bytes, seed: int) -> bytes:
    header, blocks = decode_car(data)
    listed = [(cid, encode_dag_cbor(value)) for cid, value in blocks.items()]
    random.Random(seed).shuffle(listed)
    return packed(header["roots"][0], listed)


def test_posts_and_reposts() -> None:
    records = {
        "app.bsky.feed.post/3lpk3nnns5u2b": POST,
        "app.bsky.feed.like/3lpk3nnns5u2c": LIKE,
        "app.bsky.feed.repost/3lpk3nnns5u2d": REPOST,
        "app.bsky.actor.profile/self": {"$type": "app.bsky.actor.profile"},
    }
    (_, post), (place, repost) = read(car(records))
    assert place == "app.bsky.feed.repost/3lpk3nnns5u2d"
    assert isinstance(post, Post)
    assert isinstance(repost, Post)
    assert (post.tid, post.user, post.text) == (1789619675336927239, DID, "Storm")
    assert (repost.user, repost.text) == (DID, "")
    assert repost.urls == ("https://bsky.app/profile/did:plc:ben/post/3lpk3nnns5u2b",)


def test_a_repost_is_the_same_post_in_a_feed() -> None:
    reason = {
        "$type": "app.bsky.feed.defs#reasonRepost",
        "by": {"did": DID, "handle": "ana.example"},
        "indexedAt": "2025-05-19T18:00:00Z",
    }
    (in_feed,) = results({"post": {"uri": URI, "record": POST}, "reason": reason})
    ((_, in_car),) = read(car({"app.bsky.feed.repost/3lpk3nnns5u2d": REPOST}))
    assert isinstance(in_feed, Post)
    assert isinstance(in_car, Post)
    assert in_feed.tid == in_car.tid


@given(RECORDS, st.integers(1, 4), st.integers(0, 99))
def test_a_repository_gives_what_its_list_of_records_gives(
    records: dict[str, Any], nodes: int, seed: int
) -> None:
    listed = [{"uri": f"at://{DID}/{key}", "value": records[key]} for key in sorted(records)]
    data = car(records, nodes=nodes)
    assert [result for _, result in read(shuffled(data, seed))] == list(results(listed))
    known = file_format(data)
    assert known is not None
    assert known.name == "Bluesky repository"


def test_every_cut_is_noticed() -> None:
    data = car({"app.bsky.feed.post/3lpk3nnns5u2b": POST}, nodes=3)
    for size in range(len(data)):
        with pytest.raises(ArchiveError, match="damaged CAR file"):
            read(data[:size])


COMMIT = block({"did": DID, "rev": "3l", "data": b"", "sig": b"x", "version": 3})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged CAR file"),
        (packed(COMMIT[0], []), "ends early"),
        (packed(COMMIT[0], [(COMMIT[0], COMMIT[1][:-1] + b"y")]), "not what its CID says"),
        (packed(COMMIT[0], [block(b"x" * 5_000_000)]), "a block of 5,000,"),
        (packed(COMMIT[0], []) + b"\xff" * 10, "without a length"),
        (packed(COMMIT[0], []) + b"\xff", "ends early"),
        (packed(COMMIT[0], [block([])]), "not a map"),
        (packed(COMMIT[0], [block({"l": None, "e": [{"p": 0, "t": None}]})]), "'k'"),
        (packed(COMMIT[0], [block(node([("x" * 2000, b"")]))]), "a key of over 1,024 bytes"),
    ],
)
def test_damage_is_told(data: bytes, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        read(data)


@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(car({"app.bsky.feed.post/3lpk3nnns5u2b": POST}))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArchiveError):
        read(bytes(whole))
