"""Sessions of people: sealed cookies, login links that work once, and the end of both.

A session begins with the shared token, or with a link that holds a key:

    print(login_link("http://127.0.0.1:8080/pages", token, now))
    sessions = Sessions(token, StoredSpent(client))
    cookie = sessions.begin()                    # after the token, or sessions.use_key(key)
    sessions.is_valid(cookie)
    sessions.end(cookie)

Cookies and keys are signed with the token but do not hold it: another token ends all sessions.
What was ended or used is remembered in the store, for all processes, until it would have expired.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from itsdangerous import BadData, URLSafeSerializer

COOKIE = "dfpipe_session"
SESSION_SECONDS = 12 * 3600
KEY_SECONDS = 12 * 3600
KIND = "ServiceSpentId"
_MOST_REMOVED = 100  # expired ids, at each new one


class Spent(Protocol):
    """Ids of sessions that were ended and of keys that were used."""

    def add(self, name: str, until: float) -> bool:
        """Remember an id until a time, in seconds since 1970; returns whether it is new."""

    def __contains__(self, name: str) -> bool:
        """Whether the id was added; it may be forgotten once its time is over."""


class SpentInMemory:
    """For one process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, float] = {}

    def add(self, name: str, until: float) -> bool:
        """Remember an id; returns whether it is new."""
        with self._lock:
            is_new = name not in self._names
            self._names[name] = until
        return is_new

    def __contains__(self, name: str) -> bool:
        """Whether the id was added."""
        return name in self._names


class StoredSpent:
    """For all processes of a store: a client of Datastore, or one with the same methods."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    def add(self, name: str, until: float) -> bool:
        """Remember an id; of several processes that add it at once, one learns that it is new."""
        from google.api_core.exceptions import Aborted
        from google.cloud.datastore import Entity

        self._remove_expired()
        entity = Entity(self._client.key(KIND, name))
        entity["expires"] = datetime.fromtimestamp(until, UTC)
        try:
            with self._client.transaction() as transaction:
                if self._client.get(entity.key) is not None:
                    return False
                transaction.put(entity)
        except Aborted:  # another process was first
            return False
        return True

    def __contains__(self, name: str) -> bool:
        """Whether the id was added."""
        return self._client.get(self._client.key(KIND, name)) is not None

    def _remove_expired(self) -> None:
        from google.cloud.datastore.query import PropertyFilter

        query = self._client.query(kind=KIND)
        now = datetime.fromtimestamp(self._clock(), UTC)
        query.add_filter(filter=PropertyFilter("expires", "<", now))
        query.keys_only()
        self._client.delete_multi([each.key for each in query.fetch(limit=_MOST_REMOVED)])


class Sessions:
    """The sessions that a token opens; without a token there are none."""

    def __init__(
        self, token: str | None, spent: Spent, clock: Callable[[], float] = time.time
    ) -> None:
        self._token = token
        self._spent = spent
        self._clock = clock

    def begin(self) -> str:
        """The cookie of a new session."""
        return _sealed(self._token, "session", self._clock() + SESSION_SECONDS)

    def is_valid(self, cookie: str) -> bool:
        """Whether a cookie is that of a session that was not ended and has not expired."""
        found = self._read(cookie, "session")
        return found is not None and found[0] not in self._spent

    def end(self, cookie: str) -> None:
        """End a session everywhere; anything that is not a valid cookie changes nothing."""
        if found := self._read(cookie, "session"):
            self._spent.add(*found)

    def use_key(self, key: str) -> bool:
        """Whether a login key is valid and is used for the first time."""
        found = self._read(key, "login")
        return found is not None and self._spent.add(*found)

    def _read(self, text: str, purpose: str) -> tuple[str, float] | None:
        """The id and the end of a sealed text that has not expired."""
        if not self._token:
            return None
        try:
            name, until = _serializer(self._token, purpose).loads(text)
        except BadData:
            return None
        return (name, until) if until > self._clock() else None


def login_key(token: str, now: float) -> str:
    """A key for the address of a login, which works once in the next twelve hours."""
    return _sealed(token, "login", now + KEY_SECONDS)


def reading_key(token: str) -> str:
    """A key for the addresses of feeds, whose readers cannot log in; it opens nothing else.

    It is the same for as long as the token is.
    """
    return hmac.new(token.encode(), b"reading", hashlib.sha256).hexdigest()[:32]


def login_link(pages: str, token: str, now: float) -> str:
    """A link to log in with such a key; `pages` is the address below which the login is."""
    return f"{pages}/login?key={login_key(token, now)}"


def _sealed(token: str | None, purpose: str, until: float) -> str:
    text = _serializer(token or "", purpose).dumps([secrets.token_urlsafe(12), int(until)])
    return str(text)


def _serializer(token: str, purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(token, salt=purpose, signer_kwargs={"digest_method": hashlib.sha256})
