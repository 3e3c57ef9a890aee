"""What runs ask of Google's client: seen where its requests are sent, over the whole of a run."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.datastore_v1.services.datastore import DatastoreClient

from dfpipe.datastore import Store, connect
from dfpipe.posts import storing
from dfpipe.posts.post import Post
from tests.support.analysis import END, run, stories, tables

DAYS = 2
HOURS = 24 * DAYS
HOUR = timedelta(hours=1)
EACH = 7  # posts of an hour
EARLIER = END - HOUR
EDITED, LATE, EMPTIED = 10, 20, 30  # hours that have changed, counted from the window's start


class Requests:
    """The queries of Google's client, and the entities that they brought, by their kind."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.brought: Counter[str] = Counter()

    def see(self, request: Any, response: Any) -> None:
        query = request["query"]
        names = [each.property.name for each in query.projection]
        kind = "keys" if names == ["__key__"] else "index" if names else "posts"
        self.made[kind] += 1
        self.brought[kind] += len(response.batch.entity_results)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    found = Requests()
    whole, counted = DatastoreClient.run_query, DatastoreClient.run_aggregation_query

    def run_query(self: DatastoreClient, *args: Any, **kwargs: Any) -> Any:
        response = whole(self, *args, **kwargs)
        found.see(kwargs["request"], response)
        return response

    def run_aggregation_query(self: DatastoreClient, *args: Any, **kwargs: Any) -> Any:
        found.made["counts"] += 1
        return counted(self, *args, **kwargs)

    monkeypatch.setattr(DatastoreClient, "run_query", run_query)
    monkeypatch.setattr(DatastoreClient, "run_aggregation_query", run_aggregation_query)
    return found


@pytest.fixture
def google(emulator_url: str) -> Iterator[Store]:
    client = connect(emulator_url)
    storing.store(client, (post(n) for n in range((HOURS - 1) * EACH)), now=EARLIER)
    yield client
    client.close()


def post(n: int, text: str = "the storm hits") -> Post:
    start = END - timedelta(days=DAYS)
    return Post(n + 1, f"user{n % 5}", f"{text} harbour{n % 40}", start + HOUR * n / EACH)


def an_hour_passes(client: Store) -> int:
    """Store a new hour, an edit and a late post, and empty an hour; give the posts of all four."""
    storing.store(client, (post((HOURS - 1) * EACH + i) for i in range(EACH)), now=END)
    storing.store(client, [post(EDITED * EACH, "an edited storm")], now=END)
    late = Post(9_999, "anna", "a late storm", post(LATE * EACH + 1).created_at)
    storing.store(client, [late], now=END)
    storing.store(client, (), [EMPTIED * EACH + i + 1 for i in range(EACH)], now=END)
    return EACH + EACH + (EACH + 1)


@pytest.mark.parametrize("slices", [1, 1_000])
def test_an_hour_later_only_changed_hours_are_read(
    slices: int, google: Store, emulator_url: str, requests: Requests, tmp_path: Path
) -> None:
    def analyse(name: str, cache: str, *argv: str) -> None:
        given = [
            f"--cache={cache}",
            f"--slices={slices}",
            "--processes=1",
            f"--days={DAYS}",
            *argv,
        ]
        run(emulator_url, f"duckdb:///{tmp_path}/{name}.duckdb", *given)

    analyse("earlier", f"{tmp_path}/cache", f"--until={EARLIER.isoformat()}")
    assert requests.brought["posts"] == (HOURS - 1) * EACH
    changed = an_hour_passes(google)

    requests.made.clear()
    requests.brought.clear()
    analyse("later", f"{tmp_path}/cache")
    assert requests.brought["posts"] == changed
    assert sum(requests.made.values()) <= 4 * HOURS

    requests.brought.clear()
    analyse("plain", "none")
    assert requests.brought["posts"] == HOURS * EACH + 1 - EACH
    later, plain = tmp_path / "later.duckdb", tmp_path / "plain.duckdb"
    assert tables(later) == tables(plain)
    assert stories(later) == stories(plain)
