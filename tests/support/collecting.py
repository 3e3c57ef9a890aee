"""A simulated time of collecting: cron slots, tasks, faults, restarts, and kills at any moment."""

import heapq
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from collector.fetching.accounts import Accounts
from collector.fetching.fetching import Context, Outcome, fetch
from collector.settings import CollectorSettings
from collector.sources import AccountRefusedError, UnavailableError
from dfpipe.posts.post import from_entity
from tests.support.network_server import TOKEN, Fault, Networks, bucket_of
from tests.support.networks import Life, World

FAULTS: tuple[Fault, ...] = (500, 502, 503, 504, 408, "broken", "cut", "garbage")


class Clock:
    """A clock that moves a little whenever the collector looks at it."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=50)
        return self.time

    def peek(self) -> datetime:
        return self.time


class KilledError(BaseException):
    """The process is gone: nothing of the package may catch this."""


class MortalClient:
    """A client whose process may be killed before any call, and before or after any commit."""

    def __init__(self, client: Any, rng: random.Random, chance: float) -> None:
        self._client = client
        self._rng = rng
        self.chance = chance
        self.kills = 0

    def _die(self) -> None:
        if self._rng.random() < self.chance:
            self.kills += 1
            raise KilledError

    def __getattr__(self, name: str) -> Any:
        if name in ("get", "get_multi", "put", "put_multi", "delete_multi"):
            self._die()
        return getattr(self._client, name)

    @contextmanager
    def transaction(self, **options: Any) -> Iterator[Any]:
        with self._client.transaction(**options) as transaction:
            yield transaction
            self._die()
        self._die()


def settings_for(networks: Networks, **other: Any) -> CollectorSettings:
    """The settings that point the collector to the fake servers."""
    fields: dict[str, Any] = {
        "x_url": networks.url,
        "x_bearer_token": TOKEN,
        "bluesky_url": networks.url,
        "bluesky_handle": "me.test",
        "bluesky_password": "a-password",
        "mastodon_url": networks.url,
        "mastodon_token": TOKEN,
        "request_timeout": 60.0,
    }
    return CollectorSettings(**(fields | other))


def stored_posts(client: Any) -> dict[int, tuple[str, str]]:
    """User and text of what is stored, by id."""
    posts = map(from_entity, client.query(kind="Tweet").fetch())
    return {post.tid: (post.user, post.text) for post in posts}


def fill(world: World, life: Life, start: datetime, days: float, posts: int) -> list[str]:
    """49 accounts with so many posts each; users' posts are also in what follows them."""
    accounts = [f"x:{name}" for name in ("home", *(f"@x{n}" for n in range(16)))]
    for number in range(16):
        also = ["home"] if number < 3 else []
        life.live("x", [f"@x{number}", *also], f"x{number}", start, days, posts)
    shared = ["timeline", "list/at://did:plc:z/app.bsky.graph.list/3", "search/says"]
    accounts += [f"bluesky:{name}" for name in (*shared, *(f"b{n}.test" for n in range(13)))]
    for number in range(13):
        also = shared if number < 2 else []
        life.live("bluesky", [f"b{number}.test", *also], f"b{number}.test", start, days, posts)
    accounts += [f"mastodon:{name}" for name in ("home", "public", "#cats")]
    accounts += [f"mastodon:m{number}@social.test" for number in range(13)]
    for number in range(13):
        also = ["home", "public", "#cats"] if number < 2 else []
        user = f"m{number}@social.test"
        life.live("mastodon", [user, *also], user, start, days, posts)
    return accounts


class Growing:
    """An archive that grows, now and then by half a line."""

    def __init__(self, file: Path, rng: random.Random) -> None:
        self._file = file
        self._rng = rng
        self._left = b""
        self.expected: dict[int, tuple[str, str]] = {}
        file.touch()

    def grow(self, now: datetime) -> None:
        """Write some more."""
        for _ in range(self._rng.randrange(4)):
            tid = len(self.expected) + 1
            self.expected[tid] = ("archive", f"line {tid}")
            post = {"tid": tid, "user": "archive", "text": f"line {tid}"}
            line = json.dumps(post | {"created_at": now.isoformat()})
            self._left += line.encode() + b"\n"
        self.write(self._rng.randrange(len(self._left) + 1))

    def write(self, size: int | None = None) -> None:
        """Write so many bytes of what is left, or all."""
        with self._file.open("ab") as file:
            file.write(self._left[:size])
        self._left = b"" if size is None else self._left[size:]


@dataclass
class Simulation:
    """Cron, queue and workers around real fetches."""

    networks: Networks
    client: Any
    settings: CollectorSettings
    clock: Clock
    rng: random.Random
    chance_of_fault: float = 0.03
    chance_of_kill: float = 0.004
    tasks: list[tuple[datetime, int, str]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    kills: int = 0
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.networks.fault = self._fault
        self._start_process()

    def _start_process(self) -> None:
        self._mortal = MortalClient(self.client, self.rng, self.chance_of_kill)
        self._context = Context(self._mortal, self.settings, self.clock)

    def _fault(self, path: str) -> Fault:
        if self.rng.random() >= self.chance_of_fault:
            return None
        bucket = bucket_of(path)
        if self.rng.random() < 0.2 and bucket in self.networks.windows:
            self.networks.drain(bucket)
            return None
        if self.rng.random() < 0.02:
            return self.rng.choice([401, 403])
        return self.rng.choice(FAULTS)

    def cron(self) -> None:
        """One task for each account that is followed."""
        for account in Accounts(self.client).active():
            self.push(account.id, self.clock.peek())

    def push(self, account: str, time: datetime) -> None:
        heapq.heappush(self.tasks, (time, next(self._numbers), account))

    def run_until(self, end: datetime) -> None:
        """Do what is due by then."""
        while self.tasks and self.tasks[0][0] <= end:
            due, _, account = heapq.heappop(self.tasks)
            self.clock.time = max(self.clock.time, due)
            self.work(account)
        self.clock.time = max(self.clock.time, end)

    def work(self, account: str) -> None:
        """One attempt of a task."""
        if self.rng.random() < 0.01:
            self._start_process()
        try:
            self.attempt(self._context, account, self._twice(account))
        except KilledError:
            self.kills += 1
            self.networks.forget_telling()
            self._start_process()
            self.push(account, self.clock.peek() + timedelta(seconds=60))

    def attempt(self, context: Context, account: str, on_page: Any = None) -> None:
        """Fetch, and do what the service does with the outcome."""
        now = self.clock.peek()
        seconds = self.rng.choice([0, 1, 600])
        try:
            done = fetch(context, account, limit_seconds=seconds, on_page=on_page)
        except UnavailableError as error:
            self.failures.append(str(error))
            self.push(account, now + timedelta(seconds=self.rng.uniform(1, 100)))
        except AccountRefusedError as error:
            # Somebody sees the reason, mends it, and follows the account again.
            self.failures.append(str(error))
            Accounts(self.client).follow(account, now)
            self.push(account, now + timedelta(hours=3))
        else:
            self.outcomes.append(done)
            if not done.is_finished and not done.is_overtaken:
                self.push(account, done.retry_at or now)

    def _twice(self, account: str) -> Any:
        """Now and then a second process fetches the same account, between two pages of a first."""

        def on_page(outcome: Outcome) -> None:
            if self.rng.random() < 0.02:
                self.attempt(Context(self.client, self.settings, self.clock), account)

        return on_page
