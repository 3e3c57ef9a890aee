"""What the embedded client does as production does, where Google's emulator does not."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import Aborted, FailedPrecondition, InvalidArgument, RetryError
from google.cloud.datastore import Entity
from google.cloud.datastore.aggregation import CountAggregation, SumAggregation
from google.cloud.datastore.query import And, Or, PropertyFilter

from dfpipe.datastore import Index, connect, count, run_in_transaction


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    client = connect(f"sqlite:///{tmp_path}/s.db", indexes=())
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


@pytest.mark.parametrize(
    ("filters", "order", "found"),
    [
        ([("a", "!=", 1)], [], [4, 8, 12, 2, 6, 10, 3, 7, 11]),
        ([("a", "IN", [1, 3, 3])], [], [1, 3, 5, 7, 9, 11]),
        ([("a", "IN", [3, 1])], ["-a"], [3, 7, 11, 1, 5, 9]),
        ([("a", "NOT_IN", [0, 2])], [], [1, 5, 9, 3, 7, 11]),
        ([("a", "IN", [1, 2]), ("b", "IN", [0, 1])], [], [1, 6, 9, 10]),
        ([("l", "IN", [1, 2, 3])], [], [1, 2, 3]),
        ([Or([PropertyFilter("a", "=", 0), PropertyFilter("b", "=", 0)])], [], [3, 4, 6, 8, 9, 12]),
        (
            [Or([PropertyFilter("a", "=", 0), And([("a", "=", 1), ("b", "=", 2)])])],
            [],
            [4, 5, 8, 12],
        ),
    ],
)
def test_alternatives(client: Any, filters: Any, order: list[str], found: list[int]) -> None:
    put_numbers(client)
    query = find(client, *filters, order=order)
    assert ids(query) == found
    assert count(client, query) == len(found)
    cursor = None
    for start in range(0, len(found), 2):
        results = query.fetch(limit=2, start_cursor=cursor)
        assert [entity.key.id for entity in results] == found[start : start + 2]
        cursor = results.next_page_token
    assert ids(query, offset=1, limit=3) == found[1:4]


def test_alternatives_over_a_list(client: Any) -> None:
    put_numbers(client)
    query = find(client, ("l", "!=", 5), order=["-l"])
    assert ids(query) == [12, 11, 10, 9, 8, 7, 6, 5, 3, 4, 2, 1]
    assert count(client, query) == 12


@pytest.mark.parametrize(
    ("filters", "order", "message"),
    [
        ([("a", "IN", list(range(31)))], [], "31 alternatives, at most 30"),
        ([("a", "IN", [])], [], "IN needs a list that is not empty"),
        ([("a", "IN", 1)], [], "IN needs a list"),
        ([Or([PropertyFilter("a", "=", 0), PropertyFilter("b", ">", 0)])], [], "sort differently"),
        ([], ["-__key__"], "Descending order of keys is not supported"),
        ([("a", "=", 1)], ["b", "-__key__"], "Descending order of keys is not supported"),
    ],
)
def test_refused_queries(client: Any, filters: Any, order: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ids(find(client, *filters, order=order))


def test_queries_that_the_embedded_client_lacks(client: Any) -> None:
    with pytest.raises(InvalidArgument, match="A query needs a kind"):
        ids(client.query())
    with pytest.raises(InvalidArgument, match="Projections are not supported"):
        ids(find(client, projection=["a"]))
    with pytest.raises(InvalidArgument, match="Projections are not supported"):
        ids(find(client, distinct_on=["a"]))
    with pytest.raises(InvalidArgument, match="Only count is supported"):
        client.aggregation_query(find(client)).add_aggregation(SumAggregation("a"))
    with pytest.raises(InvalidArgument, match="not a cursor of this store: b'nonsense'"):
        ids(find(client), start_cursor=b"nonsense")


def test_counts_have_names(client: Any) -> None:
    put_numbers(client)
    counting = client.aggregation_query(find(client)).count()
    counting.add_aggregation(CountAggregation(alias="all"))
    (results,) = counting.fetch()
    assert [(result.alias, result.value) for result in results] == [("property_1", 12), ("all", 12)]


NEEDS = [
    ([("a", "=", 1)], ["b"], Index("Kind", ("a", "b"))),
    ([("a", "=", 1), ("b", ">", 1)], [], Index("Kind", ("a", "b"))),
    ([("b", "=", 1), ("a", "=", 1)], ["-c"], Index("Kind", ("a", "b", "-c"))),
    ([], ["a", "-b"], Index("Kind", ("a", "-b"))),
]


@pytest.mark.parametrize(("filters", "order", "index"), NEEDS)
def test_a_query_without_its_index(client: Any, filters: Any, order: Any, index: Index) -> None:
    for _ in range(2):  # with and without entities of the kind
        with pytest.raises(FailedPrecondition) as raised:
            ids(find(client, *filters, order=order))
        assert raised.value.message.endswith("recommended index is:\n" + index.as_yaml())
        with pytest.raises(FailedPrecondition):
            count(client, find(client, *filters, order=order))
        put_numbers(client)


def test_an_ancestor_with_an_order_needs_an_index(client: Any) -> None:
    with pytest.raises(FailedPrecondition, match="ancestor: yes"):
        ids(find(client, ancestor=client.key("Root", 1), order=["a"]))


def test_an_index_that_is_declared_later_is_built(client: Any, tmp_path: Path) -> None:
    put_numbers(client)
    put(client, "Kind", 20, a=1)
    other = client.key("Kind", 30, namespace="other")
    entity = Entity(other)
    entity.update(a=1, b=0)
    client.put(entity)
    later = connect(f"sqlite:///{tmp_path}/s.db", indexes=[Index("Kind", ("a", "-b"))])
    assert ids(find(later, ("a", "=", 1), order=["-b"])) == [5, 1, 9]
    # A client that was there before keeps it up to date, and may use it.
    put(client, "Kind", 21, a=1, b=7)
    put(client, "Kind", 5, a=2, b=2)
    assert ids(find(client, ("a", "=", 1), order=["-b"])) == [21, 1, 9]
    assert ids(find(client, ("a", "=", 1), order=["-b"], namespace="other")) == [30]
    reader = connect(
        f"sqlite:///{tmp_path}/s.db", read_only=True, indexes=[Index("Kind", ("b", "a"))]
    )
    with pytest.raises(FailedPrecondition):
        ids(find(reader, ("b", "=", 1), order=["a"]))


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
    with pytest.raises(InvalidArgument, match="Key path element must not be incomplete"):
        client.get(client.key("Kind"))
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


def test_pages_have_few_entities_where_these_are_large(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/large.db")
    for start in range(0, 160, 8):
        entities = []
        for number in range(start + 1, start + 9):
            entity = Entity(client.key("Post", number), exclude_from_indexes=("text",))
            entity.update(text="x" * 1_000_000)
            entities.append(entity)
        client.put_multi(entities)
    pages = [[entity.key.id for entity in page] for page in client.query(kind="Post").fetch().pages]
    assert [len(page) for page in pages] == [100, 15, 15, 15, 15]
    assert [number for page in pages for number in page] == list(range(1, 161))
