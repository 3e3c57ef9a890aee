"""X: the home timeline of the authenticated user, or a user's posts, by API v2 through tweepy."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collector.settings import CollectorSettings
from collector.snowflakes import id_of_time, ids_within
from collector.sources import AccountRefusedError, Found, Limits, Page, PostSource, UnavailableError
from dfpipe.posts.formats import v2
from dfpipe.posts.formats.result import Deletion, Json, Result, Skip, inside, items, shielded
from dfpipe.posts.formats.x_posts import WITHHELD
from dfpipe.posts.post import Post

FORMS = ("home", "@NAME")
PAGE = 100
# Ids are in the order of time only roughly: what is just behind the watermark is read again.
OVERLAP = timedelta(seconds=10)
CLOCKS_DIFFER = timedelta(minutes=5)
FIELDS = {
    "expansions": [
        *("attachments.poll_ids", "author_id", "referenced_tweets.id"),
        "referenced_tweets.id.author_id",
    ],
    "tweet_fields": [
        *("attachments", "author_id", "created_at", "edit_history_tweet_ids", "entities"),
        *("note_tweet", "referenced_tweets", "withheld"),
    ],
    "user_fields": ["username"],
}
# Each of these has a limit of its own.
BUCKETS = {"/timelines/": "x/home", "/by/username/": "x/lookup", "/tweets": "x/user", "/me": "x/me"}
_EPOCH = datetime.fromtimestamp(1_288_834_974.657, UTC)
_BITS = 22
_NAME = re.compile(r"@\w{1,15}", re.ASCII)
_GONE = ("/resource-not-found", "/not-authorized-for-resource")


def canonical(name: str) -> str | None:
    """The name in lower case, as names of users ignore case."""
    if name == "home":
        return name
    return name.lower() if _NAME.fullmatch(name) else None


def read(raw: object) -> Iterator[Result]:
    """Read a page of one tweet."""
    return (found.result for found in _found(raw if isinstance(raw, dict) else {}))


def open_source(settings: CollectorSettings, limits: Limits) -> PostSource:
    """X with the credentials of the settings."""
    return X(settings, limits)


class X:
    """Reads timelines through the API of X."""

    def __init__(self, settings: CollectorSettings, limits: Limits) -> None:
        self._limits = limits
        self._by_user = bool(settings.x_access_token)
        if not self._by_user and not settings.x_bearer_token:
            raise AccountRefusedError(
                "credentials for X are missing: set COLLECTOR_X_BEARER_TOKEN or "
                "COLLECTOR_X_CONSUMER_KEY, _CONSUMER_SECRET, _ACCESS_TOKEN and "
                "_ACCESS_TOKEN_SECRET, and follow the account again"
            )
        self._client = _client(settings, limits)
        # tweepy's client changes while it asks who its user is, and stays so if that fails.
        self._home, self._home_lock = _client(settings, limits), threading.Lock()
        self._return_type = self._home.return_type
        self._ids: dict[str, str] = {}

    def start(self, time: datetime) -> str:
        """The smallest id that a post of that time can have."""
        return str(id_of_time(time, _EPOCH, _BITS))

    def pages(self, name: str, watermark: str, progress: str | None) -> Iterator[Page]:
        """Yield pages from the newest post to the watermark, which is the newest id seen before."""
        state: Json = {"newest": watermark, "token": None}
        state |= orjson.loads(progress) if progress else {}
        since = max(1, int(watermark) - ids_within(OVERLAP, _BITS))
        while True:
            page = self._page(name, since, state["token"])
            newest = str(max(int(state["newest"]), self._newest(page)))
            token = inside(page, "meta", "next_token")
            if not isinstance(token, str):
                yield Page(list(_found(page)), watermark=newest)
                return
            state = {"newest": newest, "token": token}
            yield Page(list(_found(page)), progress=orjson.dumps(state).decode())

    def _newest(self, page: Json) -> int:
        """The newest id of a page; ids from the future would hide later posts and do not count."""
        most = id_of_time(self._limits.now() + CLOCKS_DIFFER, _EPOCH, _BITS)
        ids = [inside(tweet, "id") for tweet in items(page.get("data"))]
        numbers = [int(tid) for tid in ids if isinstance(tid, str) and _is_id(tid)]
        return max((number for number in numbers if number < most), default=0)

    def _page(self, name: str, since: int, token: str | None) -> Json:
        fields = {"max_results": PAGE, "since_id": since, "pagination_token": token, **FIELDS}
        fields["user_auth"] = self._by_user
        if name == "home":
            with self._home_lock:
                self._home.return_type = self._return_type
                page = _answer(self._home.get_home_timeline, **fields)
        else:
            page = _answer(self._client.get_users_tweets, self._user_id(name[1:]), **fields)
        if "data" not in page and "meta" not in page:
            raise AccountRefusedError(f"X returned no posts: {_error(page)}")
        return page

    def _user_id(self, name: str) -> str:
        if name not in self._ids:
            page = _answer(self._client.get_user, username=name, user_auth=self._by_user)
            user = inside(page, "data", "id")
            if not isinstance(user, str):
                raise AccountRefusedError(f"X has no user @{name}: {_error(page)}")
            self._ids[name] = user
        return self._ids[name]


def _client(settings: CollectorSettings, limits: Limits) -> Any:
    import requests
    import tweepy

    from collector.traffic import Session

    client = tweepy.Client(
        settings.x_bearer_token,
        settings.x_consumer_key,
        settings.x_consumer_secret,
        settings.x_access_token,
        settings.x_access_token_secret,
        return_type=requests.Response,
    )
    client.session = Session("x", limits, settings.request_timeout, settings.x_url, BUCKETS)
    return client


def _answer(method: Any, *args: object, **kwargs: object) -> Json:
    """Return the JSON object of an answer to a request of tweepy."""
    try:
        page = orjson.loads(method(*args, **kwargs).content)
    except (ValueError, LookupError, TypeError) as error:
        # Also where tweepy asks for its user and does not understand the answer.
        raise UnavailableError("X did not return the JSON that was asked for") from error
    if not isinstance(page, dict):
        raise UnavailableError("X did not return a JSON object")
    return page


def _error(page: Json) -> str:
    first = next(iter(items(page.get("errors"))), None)
    return str(inside(first, "detail") or inside(first, "title") or "no error is given")


def _found(page: Json) -> Iterator[Found]:
    """Yield the results of a page, tweet by tweet, each with what is needed to read it again.

    Withheld posts, versions that were edited since, and posts that others refer to and that are
    there no more come as deletions.
    """
    included = {kind: _by_id(inside(page, "includes", kind)) for kind in v2.INCLUDED}
    for tweet in items(page.get("data")):
        raw = {"data": [tweet], "includes": _included(tweet, included)}
        tid = inside(tweet, "id")
        name = tid if isinstance(tid, str) else ""
        for result in shielded(v2.results(raw)):
            yield Found(_removed(tweet, result) or result, raw, name)
    for error in items(page.get("errors")):
        gone = inside(error, "resource_id")
        is_gone = str(inside(error, "type")).endswith(_GONE)
        is_post = inside(error, "resource_type") == "tweet"
        if is_gone and is_post and isinstance(gone, str) and _is_id(gone):
            yield Found(Deletion(int(gone)), error)


def _by_id(included: object) -> dict[str, object]:
    found = ((inside(thing, "id"), thing) for thing in items(included))
    return {tid: thing for tid, thing in found if isinstance(tid, str)}


def _included(tweet: object, included: dict[str, Json]) -> Json:
    """Return what a page includes of a tweet: its author, its poll, and the tweets it refers to."""
    references = [inside(item, "id") for item in items(inside(tweet, "referenced_tweets"))]
    tweets = _chosen(included["tweets"], references)
    polls = [poll for one in (tweet, *tweets) for poll in items(inside(one, *v2.POLL_IDS))]
    return {
        "users": _chosen(included["users"], [inside(tweet, "author_id")]),
        "tweets": tweets,
        "polls": _chosen(included["polls"], polls),
    }


def _chosen(things: Json, keys: list[object]) -> list[object]:
    return [things[key] for key in keys if isinstance(key, str) and key in things]


def _removed(tweet: object, result: Result) -> Deletion | None:
    """The deletion that a result means, if the post is withheld or the version is old."""
    if isinstance(result, Skip) and result.reason == WITHHELD:
        tid = inside(tweet, "id")
        return Deletion(int(tid)) if isinstance(tid, str) and _is_id(tid) else None
    versions = items(inside(tweet, "edit_history_tweet_ids"))
    if isinstance(result, Post) and str(result.tid) in versions[:-1]:
        return Deletion(result.tid)
    return None


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63
