"""Requests to a source: each is taken from the rate limit first, its answer checked afterwards."""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests

from collector.errors import (
    AccountRefusedError,
    BadRequestError,
    QuotaSpentError,
    RateLimitedError,
    UnavailableError,
)
from collector.rate_limits import MARGIN, Limits, announcement
from service.tables import printable

# How long to wait after a 429 that does not say it.
UNKNOWN_RESET = timedelta(minutes=15)
# X does not tell when a monthly quota begins anew, or is raised: look once a day.
QUOTA_WAIT = timedelta(days=1)
_QUOTA_SPENT = (b"UsageCapExceeded", b"usage-capped")
_SHOWN = 300  # characters of an answer in an error


def check_answer(
    source: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Raise the SourceError that an answer means; nothing for one with content."""
    if status == 429 and any(mark in body for mark in _QUOTA_SPENT):
        raise QuotaSpentError(now + QUOTA_WAIT, source, _shown(body))
    if status == 429:
        raise RateLimitedError(_reset(headers, now), source, _shown(body))
    if status < 400:
        return
    text = f"{source} returned {status}: {_shown(body)}"
    if status in (400, 422):
        raise BadRequestError(text)
    if status in (401, 403, 404, 410):
        raise AccountRefusedError(text)
    raise UnavailableError(text)


def _reset(headers: Mapping[str, str], now: datetime) -> datetime:
    announced = announcement(headers, now)
    if announced is not None and announced.resets_at > now:
        return announced.resets_at + MARGIN
    seconds = headers.get("Retry-After", headers.get("retry-after", ""))
    if seconds.isascii() and seconds.isdigit() and len(seconds) < 7:
        return now + timedelta(seconds=int(seconds)) + MARGIN
    return now + UNKNOWN_RESET


def _shown(body: bytes) -> str:
    """The beginning of an answer on one line, in which nothing can move a terminal's cursor."""
    text = " ".join(body[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return printable(text)[:_SHOWN]


class Session(requests.Session):
    """What tweepy and Mastodon.py send their requests with.

    With `base_url` requests go there, whatever host the library thinks of. `bucket` is the limit
    that they count against unless `buckets` has another for a part of their path.
    """

    def __init__(
        self,
        source: str,
        limits: Limits,
        timeout: float,
        base_url: str = "",
        buckets: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._source = source
        self._limits = limits
        self._timeout = timeout
        self._base_url = base_url
        self._buckets = buckets or {}
        self._thread = threading.local()

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]  # with fewer positions
        """Send a request; raises SourceError unless the answer is content."""
        self._thread.body = b""
        path = urlsplit(url).path
        bucket = self._bucket(path)
        self._limits.take(bucket)
        options["timeout"] = self._timeout
        try:
            response = super().request(
                method, self._base_url + path if self._base_url else url, **options
            )
        except requests.RequestException as error:
            self._limits.lost(bucket)
            raise UnavailableError(f"{self._source} cannot be reached: {_cause(error)}") from error
        self._limits.learn(bucket, response.headers)
        now = self._limits.now()
        try:
            check_answer(
                self._source, response.status_code, response.headers, response.content, now
            )
        except QuotaSpentError as error:
            self._limits.spent(bucket, error.reset_at)
            raise
        self._thread.body = response.content
        return self._shown(response)

    def _shown(self, response: requests.Response) -> requests.Response:
        """What the library gets to see."""
        return response

    def body(self) -> bytes:
        """What this thread was answered last."""
        body: bytes = self._thread.body
        return body

    def _bucket(self, path: str) -> str:
        found = (bucket for part, bucket in self._buckets.items() if part in path)
        return next(found, self._source)


class ListlessSession(Session):
    """Shows the library an empty list in place of every list; `body` has what it really was.

    Mastodon.py makes objects of all statuses, which takes four times as long as everything else,
    and fails on one that is malformed. This service needs none of these objects. Mastodon.py also
    fails on the rate limit headers of other servers, such as Pixelfed's, so it does not see them.
    """

    def _shown(self, response: requests.Response) -> requests.Response:
        for name in [name for name in response.headers if name.lower().startswith("x-ratelimit-")]:
            del response.headers[name]
        if response.content.lstrip().startswith(b"["):
            response._content = b"[]"
        return response


def _cause(error: BaseException) -> str:
    """The kind of a failure: its text may hold the address with all that is asked for."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < 3:
        names.append(type(cause).__name__)
        cause = cause.__context__
    return ", ".join(names)
