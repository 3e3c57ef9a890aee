"""Random operations on both clients give equal results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Aborted
from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfpipe.datastore import connect, fetch_keys
from tests.support.datastore_emulator import Emulator

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x", b"x", 0.5])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
PATHS = st.tuples(st.just("Kind"), st.sampled_from([1, 2, 3, "n"]))
PROPERTIES = st.dictionaries(st.sampled_from("ab"), VALUES)
PUT = st.tuples(st.just("put"), PATHS, PROPERTIES)
DELETE = st.tuples(st.just("delete"), PATHS)
# A transaction reads one entity, one is changed from outside, then it puts one and commits.
TRANSACTION = st.tuples(st.just("transaction"), PATHS, PATHS, PATHS)
RANGES = st.tuples(st.sampled_from(["<", "<=", ">", ">="]), SCALARS)
QUERY = st.tuples(
    st.just("query"),
    st.sampled_from(["", "a", "-a", "b", "-b", "=a", "=a =b"]),
    SCALARS,
    st.none() | RANGES,
    st.none() | st.integers(1, 4),
)
OPERATIONS = st.lists(PUT | DELETE | TRANSACTION | QUERY, max_size=25)


@pytest.fixture
def clients(datastore_emulator: Emulator, emulator_url: str, tmp_path: Path) -> Iterator[Any]:
    google = connect(emulator_url)
    embedded = connect(f"sqlite:///{tmp_path}/s.db")
    yield google, embedded
    google.close()
    embedded.close()


def write(target: Any, client: Any, operation: Any) -> None:
    key = client.key(*operation[1])
    if operation[0] == "delete":
        target.delete(key)
    else:
        entity = Entity(key)
        entity.update(operation[2])
        target.put(entity)


def transact(client: Any, read: Any, changed: Any, put: Any) -> Any:
    transaction = client.transaction()
    transaction.begin()
    found = client.get(client.key(*read), transaction=transaction)
    before = client.get(client.key(*changed))
    # A real change: the emulator minds a write that changes nothing, the embedded client does not.
    write(client, client, ("put", changed, {"a": 8 if before and before.get("a") == 7 else 7}))
    write(transaction, client, ("put", put, {"b": 1}))
    try:
        transaction.commit()
    except Aborted:
        return found, "aborted"
    return found, "committed"


def ask(client: Any, words: str, value: Any, ranged: Any, limit: int | None) -> Any:
    names = words.split()
    query = client.query(kind="Kind", order=[name for name in names if name[0] != "="])
    for name in names:
        if name[0] == "=":
            query.add_filter(filter=PropertyFilter(name[1:], "=", value))
    if ranged and names and names[-1][0] != "=":
        query.add_filter(filter=PropertyFilter(names[0].lstrip("-"), *ranged))
    return [each.key.flat_path for each in query.fetch(limit=limit)]


def perform(client: Any, operation: Any) -> Any:
    name, *arguments = operation
    if name == "query":
        return ask(client, *arguments)
    if name == "transaction":
        return transact(client, *arguments)
    write(client, client, operation)
    return client.get(client.key(*arguments[0]))


def plain(result: Any) -> Any:
    """A result without the project, which differs."""
    if isinstance(result, Entity):
        return result.key.flat_path, dict(result)
    return tuple(map(plain, result)) if isinstance(result, tuple) else result


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(OPERATIONS)
def test_random_operations(
    clients: Any, datastore_emulator: Emulator, operations: list[Any]
) -> None:
    google, embedded = clients
    datastore_emulator.reset()
    embedded.delete_multi(list(fetch_keys(embedded.query(kind="Kind"))))
    for operation in operations:
        expected = plain(perform(google, operation))
        assert plain(perform(embedded, operation)) == expected, operation
    for words in ("", "a", "-b"):
        assert ask(embedded, words, None, None, None) == ask(google, words, None, None, None)
