"""A small document or file of each format that archives are read in, by the name of the format."""

import io
import json
from typing import Any

import pyarrow
from pyarrow import parquet

from tests.support.car_files import car

TID = 1650000000000000001
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
RECORD = {"$type": "app.bsky.feed.post", "text": "Storm", "createdAt": "2025-05-19T17:24:22.643Z"}
URI = f"at://{DID}/app.bsky.feed.post/3lpk3nnns5u2b"
VIEW = {"uri": URI, "author": {"did": DID, "handle": "ana.example"}, "record": RECORD}
SDK_RECORD = {
    "py_type": "app.bsky.feed.post",
    "text": "Storm",
    "created_at": "2025-05-19T17:24:22.643Z",
    "facets": None,
}
SDK_VIEW = {
    "py_type": "app.bsky.feed.defs#postView",
    "uri": URI,
    "author": {"did": DID, "handle": "ana.example", "created_at": None},
    "record": SDK_RECORD,
    "indexed_at": "2025-05-19T17:24:23.000Z",
}
NOTE = {
    "id": "https://social.example/users/ana/statuses/109300000000000001",
    "type": "Note",
    "summary": None,
    "published": "2023-09-08T07:00:00Z",
    "attributedTo": "https://social.example/users/ana",
    "content": "<p>Storm</p>",
    "tag": [],
}
ACTIVITY = {
    "id": "https://social.example/users/ana/statuses/109300000000000001/activity",
    "type": "Create",
    "actor": "https://social.example/users/ana",
    "published": "2023-09-08T07:00:00Z",
    "object": NOTE,
}
SNSCRAPE = {
    "_type": "snscrape.modules.twitter.Tweet",
    "url": f"https://twitter.com/ana/status/{TID}",
    "date": "2023-04-23T07:00:00+00:00",
    "rawContent": "Storm https://t.co/e",
    "renderedContent": "Storm news.example/storm",
    "id": TID,
    "user": {"_type": "snscrape.modules.twitter.User", "username": "ana", "id": 11},
    "links": [{"url": "https://news.example/storm", "tcourl": "https://t.co/e"}],
    "outlinks": ["https://news.example/storm"],
    "retweetedTweet": None,
}
OLD_SNSCRAPE = {
    "url": f"https://twitter.com/ana/status/{TID}",
    "date": "2023-04-23T07:00:00+00:00",
    "content": "Storm https://t.co/e",
    "renderedContent": "Storm news.example/storm",
    "id": TID,
    "user": {"username": "ana", "id": 11},
    "outlinks": ["https://news.example/storm"],
    "tcooutlinks": ["https://t.co/e"],
    "retweetedTweet": None,
}
TWSCRAPE = {
    "id": TID,
    "id_str": str(TID),
    "url": f"https://x.com/ana/status/{TID}",
    "date": "2023-04-23 07:00:00+00:00",
    "user": {"id": 11, "username": "ana"},
    "rawContent": "Storm https://t.co/e",
    "links": [{"url": "https://news.example/storm", "text": "news", "tcourl": "https://t.co/e"}],
}
TWINT = {
    "id": TID,
    "conversation_id": str(TID),
    "created_at": "2023-04-23 09:00:00 CEST",
    "date": "2023-04-23",
    "time": "09:00:00",
    "timezone": "+0200",
    "user_id": 11,
    "username": "ana",
    "name": "Ana",
    "tweet": "Storm https://t.co/e",
    "urls": ["https://news.example/storm"],
    "link": f"https://twitter.com/ana/status/{TID}",
    "retweet": False,
}
TWEET_V1 = {
    "id": TID,
    "id_str": str(TID),
    "created_at": "Wed Jul 03 12:00:00 +0000 2019",
    "text": "Storm",
    "user": {"screen_name": "ana"},
    "entities": {"urls": []},
}
TWEET_V2 = {"id": str(TID), "text": "Storm", "edit_history_tweet_ids": [str(TID)]}
STATUS = {
    "id": "115500000000000001",
    "created_at": "2023-09-08T07:00:00.000Z",
    "spoiler_text": "",
    "content": "<p>Storm</p>",
    "reblog": None,
    "account": {"username": "ana", "acct": "ana"},
}
EVENT = {"did": DID, "time_us": 1747675462643000, "kind": "commit"}
COMMIT = {"collection": "app.bsky.feed.post", "rkey": "3lpk3nnns5u2b"}

JSON_DOCUMENTS: dict[str, list[Any]] = {
    "dfpipe": [{"tid": 1, "text": "Storm", "created_at": "2023-09-08T07:00:00Z"}],
    "notice of X v1.1": [{"delete": {"status": {"id_str": "1"}}}, {"limit": {"track": 5}}],
    "page of X v2": [
        {"data": [TWEET_V2], "meta": {"result_count": 1}},
        {"data": TWEET_V2, "matching_rules": []},
        {"meta": {"result_count": 0}},
        {"errors": [{"title": "Not Found Error"}]},
    ],
    "includes of X v2": [{"users": [{"id": "11", "username": "ana"}], "tweets": []}],
    "Mastodon status": [STATUS, [STATUS], {"statuses": [STATUS]}],
    "outbox": [
        {"type": "OrderedCollection", "orderedItems": [ACTIVITY]},
        {"type": "OrderedCollectionPage", "orderedItems": []},
    ],
    "activity": [ACTIVITY],
    "post of an activity": [NOTE, NOTE | {"type": "Question", "oneOf": []}],
    "Bluesky post": [
        VIEW,
        {"feed": [{"post": VIEW}], "cursor": "x"},
        {"posts": [VIEW]},
        {"records": [{"uri": URI, "cid": "bafy", "value": RECORD}]},
        {"uri": URI, "cid": "bafy", "value": RECORD},
        {"feed": [{"post": SDK_VIEW, "reason": None}], "cursor": None},
    ],
    "Bluesky thread": [{"thread": {"post": VIEW, "replies": []}}],
    "line of Bluesky's Jetstream": [
        EVENT | {"commit": COMMIT | {"operation": "create", "record": RECORD}},
        EVENT | {"commit": COMMIT | {"operation": "delete"}},
        EVENT | {"kind": "account", "account": {"active": True}},
    ],
    "tweet of snscrape": [SNSCRAPE, OLD_SNSCRAPE, TWSCRAPE],
    "tweet of twint": [TWINT],
    "tweet of X v2": [TWEET_V2, TWEET_V2 | {"author": {"username": "ana"}, "author_id": "11"}],
    "tweet of X v1.1": [TWEET_V1, [{"tweet": TWEET_V1}]],
}


def parquet_bytes(columns: dict[str, Any], **options: Any) -> bytes:
    """The columns as a Parquet file."""
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


FILES: dict[str, list[bytes]] = {
    "Bluesky repository": [car({f"app.bsky.feed.post/{key}": RECORD for key in ("3l", "3m")})],
    "Parquet table": [parquet_bytes({"id": [TID, TID + 1], "text": ["Storm", "Ferry"]})],
    "CSV table": [
        b"date,text,id\n2023-09-08 07:00:00,Storm,1\n2023-09-08,Ferry,2\n",
        b'\xef\xbb\xbf"Tweet ID";"Text"\r\n1650000000000000001;"Storm\r\nFerry"\r\n',
        b"0,17,Mon Apr 06 22:19:45 PDT 2009,NO_QUERY,ana,caf\xe9\n",
    ],
}


def encoded(document: object) -> bytes:
    """The document as a file of one line."""
    return json.dumps(document).encode() + b"\n"
