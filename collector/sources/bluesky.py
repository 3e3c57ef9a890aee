"""Bluesky: the timeline, an author's feed, a list, or a search, through atproto."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collector.settings import BLUESKY_URL, CollectorSettings
from collector.sources import (
    AccountRefusedError,
    Found,
    Limits,
    Page,
    PostSource,
    UnavailableError,
)
from dfpipe.posts.formats import bluesky
from dfpipe.posts.formats.result import (
    Deletion,
    Json,
    RefusedError,
    Result,
    inside,
    items,
    parse_time,
    shielded,
)
from dfpipe.posts.post import Post

BUCKETS = ("bluesky", "bluesky/session")  # of requests, and of those that log in
FORMS = ("timeline", "HANDLE.bsky.social", "did:plc:ID", "list/AT-URI", "search/WORDS")
PAGE = 100
# Posts may come late and take their place among older ones: so much is read again.
OVERLAP = timedelta(hours=1)
# Where everybody may read, without credentials.
PUBLIC_URL = "https://public.api.bsky.app"
WITHHELD_LABELS = {"!hide", "!takedown", "!suspend"}
_HANDLE = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*", re.ASCII)
_DID = re.compile(r"did:[a-z]+:[\w.:%-]+", re.ASCII)
_LIST = re.compile(r"list/at://\S+")
_LAPSED = ("ExpiredToken", "InvalidToken")
_TICK = timedelta(milliseconds=1)


def canonical(name: str) -> str | None:
    """The name; handles are the same in any case."""
    if name == "timeline" or _DID.fullmatch(name) or _LIST.fullmatch(name):
        return name
    if name.startswith("search/"):
        return name if name.removeprefix("search/").strip() else None
    handle = name.lower().removeprefix("@")
    return handle if _HANDLE.fullmatch(handle) and len(handle) <= 253 else None


def read(raw: object) -> Iterator[Result]:
    """Read one item of a feed or of a search."""
    return (found.result for found in _found([raw]))


def open_source(settings: CollectorSettings, limits: Limits) -> PostSource:
    """Bluesky as the user of the settings, or as anybody."""
    import atproto  # noqa: F401  # missing, it is missed here

    return Bluesky(settings, limits)


class Bluesky:
    """Reads feeds, lists and searches through the API of Bluesky."""

    def __init__(self, settings: CollectorSettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._lock = threading.Lock()
        self._client: Any = None
        self._is_logged_in = False

    def start(self, time: datetime) -> str:
        """The watermark of a time: the time itself, as ISO 8601 in UTC."""
        return time.astimezone(UTC).isoformat()

    def pages(self, name: str, watermark: str, progress: str | None) -> Iterator[Page]:
        """Yield pages from the newest post to the watermark, the newest time seen before."""
        state: Json = {"newest": watermark, "cursor": None, "until": None}
        state |= orjson.loads(progress) if progress else {}
        floor = datetime.fromisoformat(watermark) - OVERLAP
        while True:
            answer = self._ask(name, floor, state["cursor"], state["until"])
            found = items(answer.get("posts" if name.startswith("search/") else "feed"))
            times = [time for time in map(_sort_time, found) if time is not None]
            newest = max([datetime.fromisoformat(state["newest"]), *times])
            newest = min(newest, max(self._limits.now(), datetime.fromisoformat(watermark)))
            cursor = answer.get("cursor")
            is_last = not isinstance(cursor, str) or (not found and cursor == state["cursor"])
            # One old post at the end may only be backdated: a whole page is older, or none is.
            if is_last or (times and max(times) < floor):
                yield Page(list(_found(found)), watermark=newest.isoformat())
                return
            state |= {"newest": newest.isoformat(), "cursor": cursor}
            if name.startswith("search/"):
                _move_until(state, times)
            yield Page(list(_found(found)), progress=orjson.dumps(state).decode())

    def _ask(self, name: str, floor: datetime, cursor: str | None, until: str | None) -> Json:
        from atproto import models

        fields: Json = {"limit": PAGE, "cursor": cursor}
        kind, _, rest = name.partition("/")
        if name == "timeline":
            method = "GetTimeline"
        elif kind == "list":
            method, fields["list"] = "GetListFeed", rest
        elif kind == "search":
            method = "SearchPosts"
            fields |= {"q": rest, "sort": "latest", "since": _rfc3339(floor), "until": until}
        else:
            method, fields["actor"] = "GetAuthorFeed", name
        params = getattr(models, f"AppBskyFeed{method}").Params(**fields)
        nsid = f"app.bsky.feed.{method[0].lower()}{method[1:]}"
        return self._query(nsid, params)

    def _query(self, nsid: str, params: object) -> Json:
        import httpx
        from atproto.exceptions import AtProtocolError

        try:
            answer = self._opened().invoke_query(nsid, params, output_encoding="application/json")
        except AccountRefusedError as error:
            if any(word in str(error) for word in _LAPSED):
                self._forget()
                raise UnavailableError(f"{error}; the next request logs in again") from error
            raise
        except (AtProtocolError, httpx.HTTPError, ValueError) as error:
            for bucket in BUCKETS:
                self._limits.lost(bucket)
            cause = error.__cause__ or error
            raise UnavailableError(f"bluesky cannot be read: {type(cause).__name__}") from error
        if not isinstance(answer.content, dict):
            raise UnavailableError("bluesky did not return a JSON object")
        return answer.content

    def _opened(self) -> Any:
        """The client, logged in where there is a handle."""
        settings = self._settings
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            if settings.bluesky_handle and not self._is_logged_in:
                password = settings.bluesky_password
                self._client.login(settings.bluesky_handle, password, fetch_bsky_profile=False)
                self._is_logged_in = True
            return self._client

    def _new_client(self) -> Any:
        from atproto import Client, Request

        settings = self._settings
        url = settings.bluesky_url
        if not settings.bluesky_handle and url == BLUESKY_URL:
            url = PUBLIC_URL
        hooks = {"request": [self._before], "response": [self._after]}
        return Client(url, Request(timeout=settings.request_timeout, event_hooks=hooks))

    def _forget(self) -> None:
        with self._lock:
            self._client, self._is_logged_in = None, False

    def _before(self, request: object) -> None:
        self._limits.take(_bucket(request))

    def _after(self, response: Any) -> None:
        from collector.traffic import check_answer

        self._limits.learn(_bucket(response.request), response.headers)
        if response.status_code >= 400:
            response.read()
            body = response.content
            now = self._limits.now()
            check_answer("bluesky", response.status_code, response.headers, body, now)


def _bucket(request: Any) -> str:
    return BUCKETS[".server." in request.url.path]


def _move_until(state: Json, times: list[datetime]) -> None:
    """Continue below the oldest post: the cursor of a search only says how many posts to skip.

    Where all of a page have one time the cursor is used, as there is no other way. A few backdated
    posts at the page's end do not count: those between them and the others would be missed.
    """
    if times:
        until = _rfc3339(max(times[-1 - len(times) // 20 :]) + _TICK)
        if until != state["until"]:
            state |= {"until": until, "cursor": None}


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sort_time(item: object) -> datetime | None:
    """The time by which feeds are sorted; None where the item does not tell it."""
    reposted = inside(item, "reason", "indexedAt")
    post = inside(item, "post") or item
    try:
        if str(inside(item, "reason", "$type")).endswith("#reasonRepost"):
            return parse_time(reposted)
        created, indexed = inside(post, "record", "createdAt"), inside(post, "indexedAt")
        return min(parse_time(value) for value in (created, indexed) if value is not None)
    except (RefusedError, ValueError):
        return None


def _found(feed: list[object]) -> Iterator[Found]:
    """Yield the results of items; a post with a label that withholds it comes as a deletion."""
    for item in feed:
        post = inside(item, "post") or item
        uri, by = inside(post, "uri"), inside(item, "reason", "by", "did")
        name = f"{by or ''} {uri}" if isinstance(uri, str) else ""
        for result in shielded(bluesky.results(item if isinstance(item, dict) else {})):
            if isinstance(result, Post) and _is_withheld(post):
                yield Found(Deletion(result.tid), item, name)
            else:
                yield Found(result, item, name)


def _is_withheld(post: object) -> bool:
    labels = items(inside(post, "labels"))
    return any(
        inside(label, "val") in WITHHELD_LABELS and inside(label, "neg") is not True
        for label in labels
    )
