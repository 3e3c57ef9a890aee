"""Mastodon: home, an account, a hashtag or the public timeline, through Mastodon.py."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collector.settings import CollectorSettings
from collector.snowflakes import id_of_time, ids_within
from collector.sources import Found, Limits, Page, PostSource, SourceError, UnavailableError
from dfpipe.posts.formats import mastodon
from dfpipe.posts.formats.result import Result, Skip, inside, shielded

FORMS = ("home", "USER@HOST", "#TAG", "public")
PAGE = 40  # the most that a server gives
# Posts of other servers may come late, with the ids of their time: so much is read again.
OVERLAP = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(days=1)
_EPOCH = datetime.fromtimestamp(0, UTC)
_BITS = 16
_ACCOUNT = re.compile(r"\w[\w.-]*(?:@[\w.-]+)?", re.ASCII)
_TAG = re.compile(r"#\w+")


def canonical(name: str) -> str | None:
    """The name in lower case, as names of accounts and tags ignore case."""
    name = name.lower().removeprefix("@")
    return name if _TAG.fullmatch(name) or _ACCOUNT.fullmatch(name) else None


def read(raw: object) -> Iterator[Result]:
    """Read one status, as the API gives it."""
    if isinstance(raw, dict):
        yield from shielded(mastodon.results(raw))
    else:
        yield Skip("not a status")


def open_source(settings: CollectorSettings, limits: Limits) -> PostSource:
    """The source that reads from the server that the settings name."""
    return Mastodon(settings, limits)


class Mastodon:
    """The API of one Mastodon server."""

    def __init__(self, settings: CollectorSettings, limits: Limits) -> None:
        import mastodon as library

        from collector.traffic import ListlessSession

        self._limits = limits
        self._session = ListlessSession("mastodon", limits, settings.request_timeout)
        self._errors = library.MastodonError
        self._client = library.Mastodon(
            access_token=settings.mastodon_token or None,
            api_base_url=settings.mastodon_url,
            ratelimit_method="throw",
            request_timeout=settings.request_timeout,
            session=self._session,
        )
        self._ids: dict[str, str] = {}

    def start(self, time: datetime) -> str:
        """The smallest id that a post of that time can have."""
        return str(_id_of(time))

    def pages(self, name: str, watermark: str, progress: str | None) -> Iterator[Page]:
        """Yield pages from the watermark, the newest id seen before, up to the newest post.

        A page may hold fewer posts than were asked for, so the last one is that with none.
        """
        state = {"newest": watermark, "after": _with_overlap(watermark)}
        # What is newer than the beginning of the fetch is not yet sure to be whole.
        state["begun"] = str(_id_of(self._limits.now()))
        state |= orjson.loads(progress) if progress else {}
        while statuses := self._page(name, state["after"]):
            after = max([state["after"], *self._ids_on(statuses, state["after"])], key=_order)
            if after == state["after"]:
                raise UnavailableError("mastodon returned a page without ids for the next page")
            known = min(after, state["begun"], key=_order) if after.isdecimal() else after
            state |= {"newest": max(state["newest"], known, key=_order), "after": after}
            found = [Found(result, raw, _id(raw)) for raw in statuses for result in read(raw)]
            yield Page(found, progress=orjson.dumps(state).decode())
        yield Page([], watermark=state["newest"])

    def _ids_on(self, statuses: list[object], like: str) -> list[str]:
        """The ids on a page, but for wrong ones, and future ones, which would hide posts."""
        ids = [each for each in map(_id, statuses) if each]
        if any(each.isdecimal() for each in ids):
            most = str(_id_of(self._limits.now() + CLOCKS_DIFFER))
            return [each for each in ids if each.isdecimal() and _order(each) < _order(most)]
        # Of a server whose ids are words of one length; the first watermark is a number even there.
        return [each for each in ids if len(each) == len(like) or like.isdecimal()]

    def _page(self, name: str, after: str) -> list[object]:
        fields = {"min_id": after, "limit": PAGE}
        client = self._client
        if name == "home":
            return self._ask(client.timeline_home, **fields)
        if name == "public":
            return self._ask(client.timeline_public, **fields)
        if name.startswith("#"):
            return self._ask(client.timeline_hashtag, name[1:], **fields)
        return self._ask(client.account_statuses, self._account_id(name), **fields)

    def _account_id(self, name: str) -> str:
        if name not in self._ids:
            found = _id(self._answer(self._client.account_lookup, name))
            if not found:
                raise UnavailableError(f"mastodon did not return an account for {name}")
            self._ids[name] = found
        return self._ids[name]

    def _ask(self, method: object, *args: object, **kwargs: object) -> list[object]:
        answer = self._answer(method, *args, **kwargs)
        if not isinstance(answer, list):
            raise UnavailableError("mastodon did not return a list of statuses")
        return answer

    def _answer(self, method: Any, *args: object, **kwargs: object) -> object:
        """The JSON of the server's answer, unchanged: the library's objects have other types."""
        try:
            method(*args, **kwargs)
        except self._errors as error:
            # The library puts its own error in place of the session's.
            if isinstance(error.__context__, SourceError):
                raise error.__context__ from None
            raise UnavailableError(f"mastodon cannot be read: {type(error).__name__}") from error
        try:
            return orjson.loads(self._session.body())
        except orjson.JSONDecodeError as error:
            raise UnavailableError("mastodon did not return JSON") from error


def _with_overlap(status_id: str) -> str:
    if not status_id.isdecimal():
        return status_id  # of a server whose ids hold no time
    return str(max(0, int(status_id) - ids_within(OVERLAP, _BITS)))


def _id_of(time: datetime) -> int:
    return id_of_time(time, _EPOCH, _BITS)


def _id(raw: object) -> str:
    value = inside(raw, "id")
    return value if isinstance(value, str) else ""


def _order(status_id: str) -> tuple[int, str]:
    """Ids are numbers of any length, or words of one length, in the order of time."""
    return len(status_id), status_id
