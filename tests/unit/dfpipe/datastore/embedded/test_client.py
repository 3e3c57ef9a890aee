"""What the embedded client does as production does, where Google's emulator does not."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Aborted, FailedPrecondition, InvalidArgument, RetryError
from google.cloud.datastore import Entity, Key
from google.cloud.datastore.query import Or, PropertyFilter

from dfpipe.datastore import (
    build_indexes,
    connect,
    count,
    fetch_projection,
    run_in_transaction,
)
from dfpipe.datastore.embedded import query as queries


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    client = connect(f"sqlite:///{tmp_path}/s.db")
    yield client
    client.close()


def put(client: Any, *path: Any, **values: Any) -> None:
    entity = Entity(client.key(*path))
    entity.update(values)
    client.put(entity)


def find(client: Any, *filters: Any, **options: Any) -> Any:
    query = client.query(kind="Kind", **options)
    for each in filters:
        query.add_filter(filter=each if not isinstance(each, tuple) else PropertyFilter(*each))
    return query


def ids(query: Any, **options: Any) -> list[Any]:
    return [entity.key.id for entity in query.fetch(**options)]


def put_numbers(client: Any) -> None:
    for n in range(1, 13):
        put(client, "Kind", n, a=n % 4, b=n % 3, l=[n, n + 1])


REFUSED = [
    ([("a", "!=", 1)], "The embedded store compares one property with = < <= > >=, not "),
    ([("a", "IN", [1, 2])], "The embedded store compares one property"),
    ([Or([PropertyFilter("a", "=", 0), PropertyFilter("b", "=", 0)])], "compares one property"),
]


@pytest.mark.parametrize(("filters", "message"), REFUSED, ids=repr)
def test_queries_that_the_embedded_client_lacks(client: Any, filters: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ids(find(client, *filters))


def test_refused_orders_and_projections(client: Any) -> None:
    for order in (["-__key__"], ["a", "-__key__"]):
        with pytest.raises(InvalidArgument, match="Descending order of keys is not supported"):
            ids(find(client, order=order))
    put(client, "Kind", 1, a="text")
    with pytest.raises(InvalidArgument, match="Only integers and times can be projected"):
        list(fetch_projection(find(client, projection=["a"])))
    with pytest.raises(InvalidArgument, match="not a cursor of this store: b'nonsense'"):
        ids(find(client), start_cursor=b"nonsense")


def test_counts_have_names(client: Any) -> None:
    put_numbers(client)
    (results,) = client.aggregation_query(find(client)).count().count(alias="all").fetch()
    assert [(result.alias, result.value) for result in results] == [("property_1", 12), ("all", 12)]


NEEDS = [
    ([("a", "=", 1)], {"order": ["b"]}, "a b"),
    ([("a", "=", 1), ("b", ">", 1)], {}, "a b"),
    ([("b", "=", 1), ("a", "=", 1)], {"order": ["-c"]}, "b a -c"),
    ([], {"order": ["a", "-b"]}, "a -b"),
    ([("a", ">", 1)], {"projection": ["a", "b"]}, "a b"),
    ([("a", ">", 1)], {"projection": ["b"]}, "a b"),
]


@pytest.mark.parametrize(("filters", "options", "index"), NEEDS)
def test_a_query_that_needs_an_index_of_its_own(
    client: Any, filters: Any, options: Any, index: str
) -> None:
    """Datastore refuses it too, unless index.yaml declares the index."""
    names = [
        f"  - name: {name.lstrip('-')}" + "\n    direction: desc" * name.startswith("-")
        for name in index.split()
    ]
    lines = "\n".join(["- kind: Kind", "  properties:", *names])
    for _ in range(2):  # with and without entities of the kind
        with pytest.raises(FailedPrecondition) as raised:
            ids(find(client, *filters, **options))
        assert raised.value.message == f"no matching index found. recommended index is:\n{lines}"
        with pytest.raises(FailedPrecondition):
            count(client, find(client, *filters, **options))
        put_numbers(client)


def test_a_projected_list_gives_an_entity_for_each_element_once(client: Any) -> None:
    put(client, "Kind", 1, l=[2, 1, 2])
    found = list(fetch_projection(find(client, ("l", ">", 0), projection=["l"])))
    assert found == [(1, 1)]


def test_an_index_that_is_built_ahead(client: Any, tmp_path: Path) -> None:
    build_indexes(client, "Kind", ("a",), ("b",))
    put_numbers(client)
    pages = (tmp_path / "s.db-wal").stat().st_size
    assert ids(find(client, ("a", "=", 1))) == [1, 5, 9]
    assert (tmp_path / "s.db-wal").stat().st_size == pages


def test_limits_of_production(client: Any) -> None:
    large = Entity(client.key("Kind", 1), exclude_from_indexes=("s",))
    large["s"] = "x" * (1 << 20)
    with pytest.raises(InvalidArgument, match="The entity is too big: .* at most 1048572"):
        client.put(large)
    entities = []
    for n in range(1, 13):
        entity = Entity(client.key("Kind", n), exclude_from_indexes=("s",))
        entity["s"] = "x" * 1_000_000
        entities.append(entity)
    with pytest.raises(InvalidArgument, match="The commit is too big: .* use smaller batches"):
        client.put_multi(entities)
    keys = [client.key("Kind", n) for n in range(1, 1002)]
    with pytest.raises(InvalidArgument, match="at most 1000 keys, not 1001"):
        client.get_multi(keys)
    assert ids(find(client)) == []


def test_refused_keys_and_names(client: Any) -> None:
    for key in (Key("Kind", project="local"), Key("Parent", 1, "Kind", 1, project="local")):
        with pytest.raises(InvalidArgument, match="takes keys of a kind and an id or name"):
            client.get(key)
    with pytest.raises(ValueError, match="Value out of range"):
        put(client, "Kind", 2**63, a=1)
    with pytest.raises(InvalidArgument, match="The property.name is longer than 1500 bytes"):
        put(client, "Kind", 1, **{"n" * 1501: 1})
    with pytest.raises(ValueError, match="the name of a property is a string, not 1"):
        put(client, "Kind", 1, a={1: 2})


def test_a_transaction_that_has_ended_reads_no_more(client: Any) -> None:
    transaction = client.transaction()
    transaction.begin()
    transaction.rollback()
    with pytest.raises(InvalidArgument, match="expired or is no longer valid"):
        client.get(client.key("Kind", 1), transaction=transaction)
    with pytest.raises(ValueError, match="Batch already started"):
        transaction.begin()


def test_a_transaction_reads_its_snapshot(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    assert ids(find(client, ("a", "=", 2))) == []
    with client.transaction(read_only=True):
        thread = threading.Thread(target=put, args=(client, "Kind", 1), kwargs={"a": 2})
        thread.start()
        thread.join()
        assert client.get(client.key("Kind", 1))["a"] == 1
        assert ids(find(client, ("a", "=", 2))) == []
    assert client.get(client.key("Kind", 1))["a"] == 2


def test_an_index_that_a_transaction_is_the_first_to_need(client: Any) -> None:
    put(client, "Kind", 1, a=1, b=1)
    with client.transaction():
        assert client.get(client.key("Kind", 1))["a"] == 1
        assert ids(find(client, ("a", "=", 1))) == [1]
        put(client, "Kind", 2, a=1)
    with client.transaction(read_only=True):
        assert ids(find(client, ("b", "=", 1))) == [1]
    put(client, "Kind", 3, a=1, c=1)
    assert ids(find(client, ("a", "=", 1))) == [1, 2, 3]


@pytest.mark.parametrize("read_only", [False, True])
def test_an_index_cannot_be_built_under_what_was_read(client: Any, read_only: bool) -> None:
    put(client, "Kind", 1, a=1)
    transaction = client.transaction(read_only=read_only)
    with transaction:
        client.get(client.key("Kind", 1))
        thread = threading.Thread(target=put, args=(client, "Kind", 1), kwargs={"a": 2})
        thread.start()
        thread.join()
        with pytest.raises(Aborted, match="too much contention"):
            ids(find(client, ("a", "=", 1)))
        transaction.rollback()


def test_a_reader_builds_the_index_that_it_needs(client: Any, tmp_path: Path) -> None:
    put(client, "Kind", 1, a=1)
    reader = connect(f"sqlite:///{tmp_path}/s.db", read_only=True)
    assert ids(find(reader, ("a", "=", 1))) == [1]
    put(client, "Kind", 2, a=1)
    assert ids(find(reader, ("a", "=", 1))) == [1, 2]


def test_aborted_to_the_end(client: Any) -> None:
    def always() -> None:
        raise Aborted("disturbed")

    with pytest.raises(RetryError) as raised:
        run_in_transaction(client, always, patience=0.01, first_wait=0.001)
    assert isinstance(raised.value.cause, Aborted)


def test_a_second_equal_put_writes_nothing(client: Any, tmp_path: Path) -> None:
    put(client, "Kind", 1, a=1)
    size = (tmp_path / "s.db-wal").stat().st_size
    put(client, "Kind", 1, a=1)
    assert (tmp_path / "s.db-wal").stat().st_size == size


def test_threads_share_a_client(client: Any) -> None:
    put(client, "Kind", 1, n=0)

    def increment() -> None:
        entity = client.get(client.key("Kind", 1))
        entity["n"] += 1
        client.put(entity)

    def work() -> None:
        for _ in range(25):
            run_in_transaction(client, increment, first_wait=0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get(client.key("Kind", 1))["n"] == 100


@pytest.mark.parametrize("read", ["get", "query"])
def test_catalog_and_rows_are_of_one_moment(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Another client writes a property that is new to the store between the two reads."""
    put(client, "Kind", 1, a=1)
    writer = connect(f"sqlite:///{tmp_path}/s.db")
    catalog_of = client.catalog_of

    def disturbed(connection: Any) -> Any:
        catalog = catalog_of(connection)
        put(writer, "Kind", 1, **{f"new{len(catalog.shapes)}": 1})
        return catalog

    monkeypatch.setattr(client, "catalog_of", disturbed)
    found = {
        "get": lambda: client.get(client.key("Kind", 1)),
        "query": lambda: next(iter(client.query(kind="Kind").fetch())),
    }[read]()
    assert list(found.values()) == [1]


def test_pages_have_few_entities_where_these_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(f"sqlite:///{tmp_path}/large.db")
    for start in range(0, 160, 8):
        entities = []
        for number in range(start + 1, start + 9):
            entity = Entity(client.key("Post", number), exclude_from_indexes=("text",))
            entity.update(text="x" * 1_000_000)
            entities.append(entity)
        client.put_multi(entities)
    sizes: list[int] = []
    read_page = queries.read_page

    def counted(*arguments: Any) -> list[Any]:
        rows = read_page(*arguments)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(queries, "read_page", counted)
    assert ids(client.query(kind="Post")) == list(range(1, 161))
    assert sizes == [100, 15, 15, 15, 15, 0]
