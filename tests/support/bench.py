"""A collector that follows one account of a fake network, over the embedded store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.fetching.accounts import Account, Accounts
from collector.fetching.fetching import Context, Outcome, fetch
from dfpipe.datastore import connect
from tests.support.collecting import settings_for, stored_posts
from tests.support.network_server import Networks, serving_networks
from tests.support.networks import Item, World

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
ACCOUNTS = {"x": "x:@anna", "bluesky": "bluesky:anna.test", "mastodon": "mastodon:anna"}
BUCKETS = {"x": "x/user", "bluesky": "bluesky", "mastodon": "mastodon"}
USERS = {"x": "anna", "bluesky": "anna.test", "mastodon": "anna"}


@dataclass
class Bench:
    """A network with one account, and a collector that follows it."""

    network: str
    networks: Networks
    client: Any
    time: datetime = NOW
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = ACCOUNTS[self.network]
        self.world.user_id(USERS[self.network])
        self.world.timeline(self.network, self.name)
        Accounts(self.client).follow(self.account, NOW)
        self.context = self.new_context()

    @property
    def world(self) -> World:
        return self.networks.world

    @property
    def name(self) -> str:
        return self.account.partition(":")[2]

    def new_context(self) -> Context:
        settings = settings_for(self.networks, **self.settings)
        return Context(self.client, settings, lambda: self.time)

    def post(self, minutes_ago: float, text: str = "text") -> Item:
        created = self.time - timedelta(minutes=minutes_ago)
        return self.world.post(self.network, [self.name], USERS[self.network], created, text)

    def posts(self, number: int) -> list[Item]:
        """Posts of the last days, an hour apart."""
        return [self.post(60 * (number - n), f"post {n}") for n in range(number)]

    def fetch(self, seconds: float = 60) -> Outcome:
        return fetch(self.context, self.account, limit_seconds=seconds)

    def state(self) -> Account:
        account = Accounts(self.client).get(self.account)
        assert account is not None
        return account

    def pages_asked(self) -> int:
        """Requests for posts, those for users and sessions aside."""
        aside = ("/by/username/", "/lookup", "/instance", "createSession")
        return sum(not any(word in path for word in aside) for path in self.networks.requests)

    def check(self) -> None:
        assert stored_posts(self.client) == self.world.expected(self.time)
        assert self.networks.over_the_limit == []


Make = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []
    client = connect(f"sqlite:///{tmp_path}/store.db")

    def new(network: str, **settings: Any) -> Bench:
        bench = Bench(network, networks, client, settings=settings)
        made.append(bench)
        return bench

    with serving_networks(World(), lambda: made[0].time if made else NOW) as networks:
        yield new
    client.close()
