"""The state of each hour of the clock: what tells that its posts have changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Query, Store, count, fetch_numbers, run_in_transaction
from dfpipe.posts.post import KIND, VERSION
from dfpipe.slices.hours import HOUR, start_of

# A row a post: its id, then what VERSION names.
Versions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Listing:
    """The states of some hours by their numbers, and the hours that have none.

    An hour has no state if another program has stored posts in it, without what tells their
    versions apart. Hours without posts are in neither.
    """

    states: Mapping[int, str]
    stateless: frozenset[int]


def posts_of(client: Store, hours: range, **options: Any) -> Query:
    """Return a query of the posts of consecutive hours; they come in the order of time."""
    query = client.query(kind=KIND, **options)
    query.add_filter(filter=PropertyFilter("created_at", ">=", start_of(hours.start)))
    query.add_filter(filter=PropertyFilter("created_at", "<", start_of(hours.stop)))
    return query


def look(client: Store, hours: range) -> Listing:
    """Find the states of consecutive hours, all of one moment.

    It reads one index and no post: on Datastore it is billed as one read, and one more for each
    1,000 posts, which are counted.
    """

    def listing() -> Listing:
        versions = fetch_numbers(posts_of(client, hours, projection=VERSION))
        of_hours = dict(_by_hour(versions))
        listed = {hour: len(rows) for hour, rows in of_hours.items()}
        stateless = frozenset(_stateless(client, hours, listed))
        return Listing(
            {hour: state(rows) for hour, rows in of_hours.items() if hour not in stateless},
            stateless,
        )

    return run_in_transaction(client, listing, read_only=True)


def state(versions: Versions) -> str:
    """Return a digest of the posts of an hour, in any order.

    >>> post, other = [1, 0, 5, 7], [2, 0, 5, 7]
    >>> state(np.array([post, other])) == state(np.array([other, post]))
    True
    """
    ordered = versions[np.argsort(versions[:, 0], kind="stable")]
    return blake2b(ordered.astype("<i8").tobytes(), digest_size=16).hexdigest()


def _by_hour(versions: Versions) -> Iterator[tuple[int, Versions]]:
    numbers = versions[:, 1] // HOUR
    bounds = np.flatnonzero(np.diff(numbers)) + 1
    for rows in np.split(versions, bounds):
        if len(rows):
            yield int(rows[0, 1]) // HOUR, rows


def _stateless(client: Store, hours: range, listed: Mapping[int, int]) -> Iterator[int]:
    """Yield the hours that have more posts than are listed, by halving what differs."""
    known = sum(n for hour, n in listed.items() if hour in hours)
    if count(client, posts_of(client, hours)) == known:
        return
    if known == 0 or len(hours) == 1:
        yield from hours
        return
    middle = len(hours) // 2
    yield from _stateless(client, hours[:middle], listed)
    yield from _stateless(client, hours[middle:], listed)
