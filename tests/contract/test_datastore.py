"""What both clients do alike: the embedded one, and Google's over its emulator."""

import math
import threading
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from google.api_core.exceptions import Aborted, InvalidArgument
from google.cloud.datastore import Entity, Key
from google.cloud.datastore.helpers import GeoPoint
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import connect, count, get_values, run_in_transaction
from tests.support.labels import label


def put(client: Any, *path: Any, exclude: tuple[str, ...] = (), **values: Any) -> Entity:
    entity = Entity(client.key(*path), exclude_from_indexes=exclude)
    entity.update(values)
    client.put(entity)
    return entity


def find(client: Any, kind: str, *filters: tuple[str, str, Any], **options: Any) -> Any:
    query = client.query(kind=kind, **options)
    for each in filters:
        query.add_filter(filter=PropertyFilter(*each))
    return query


def ids(query: Any, **options: Any) -> list[Any]:
    return [entity.key.id_or_name for entity in query.fetch(**options)]


VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    0.0,
    1.5,
    math.inf,
    -math.inf,
    "",
    "text",
    "zero\x00inside",
    "é 🎈",
    b"",
    b"\x00\xff",
    datetime(2015, 1, 7, 12, 30, 15, 123456, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    GeoPoint(1.5, -2.5),
    [],
    [1, "two", None, 3.0],
    {"inner": 1, "deeper": {"list": [1, 2]}},
    [{"a": 1}, {"a": 2}],
]


@pytest.mark.parametrize("value", VALUES, ids=label)
@pytest.mark.parametrize("exclude", [(), ("value",)], ids=["indexed", "excluded"])
def test_a_value_comes_back_as_it_was(client: Any, value: Any, exclude: tuple[str, ...]) -> None:
    entity = put(client, "Kind", "name", exclude=exclude, value=value)
    found = client.get(entity.key)
    assert found["value"] == value
    assert isinstance(found["value"], type(value))
    # Google's client forgets the exclusion of an empty list: there is no element to carry it.
    if value != []:
        assert found.exclude_from_indexes == set(exclude)
        assert found == entity


def test_nan_comes_back(client: Any) -> None:
    put(client, "Kind", 1, value=math.nan)
    assert math.isnan(client.get(client.key("Kind", 1))["value"])


def test_times_come_back_in_utc(client: Any) -> None:
    zoned = datetime(2015, 1, 7, 12, tzinfo=timezone(timedelta(hours=2)))
    put(client, "Kind", 1, zoned=zoned, naive=datetime(2015, 1, 7, 10))
    found = client.get(client.key("Kind", 1))
    expected = datetime(2015, 1, 7, 10, tzinfo=UTC)
    assert [found["zoned"], found["naive"]] == [expected, expected]
    assert found["naive"].utcoffset() == timedelta(0)


def test_keys_and_embedded_entities_come_back(client: Any) -> None:
    key = Key("Parent", "p", "Child", 7, project=client.project)
    inner = Entity(client.key("Inner", 1), exclude_from_indexes=("hidden",))
    inner.update(hidden="h" * 2000, shown=1)
    put(client, "Kind", 1, key=key, inner=inner, keys=[key, None])
    found = client.get(client.key("Kind", 1))
    assert found["key"] == key
    assert found["keys"] == [key, None]
    assert found["inner"] == inner
    assert found["inner"].key == inner.key


def test_a_read_entity_is_like_a_made_one(client: Any) -> None:
    """The embedded client makes keys and entities without their constructors."""
    made = put(client, "Kind", 5, exclude=("text",), text="t", n=1)
    for found in (client.get(made.key), *client.query(kind="Kind").fetch()):
        assert found == made
        assert vars(found.key).items() >= vars(Key("Kind", 5, project=client.project)).items()
        assert set(vars(found)) == set(vars(made))
        assert hash(found.key) == hash(made.key)
        assert found.key.parent is None


def test_put_replaces_and_delete_removes(client: Any) -> None:
    put(client, "Kind", 1, a=1, b=2)
    put(client, "Kind", 1, a=3)
    assert dict(client.get(client.key("Kind", 1))) == {"a": 3}
    assert ids(find(client, "Kind", ("b", "=", 2))) == []
    assert ids(find(client, "Kind", ("a", "=", 1))) == []
    client.delete(client.key("Kind", 1))
    client.delete(client.key("Kind", 1))
    assert client.get(client.key("Kind", 1)) is None
    assert ids(find(client, "Kind", ("a", "=", 3))) == []


def test_an_entity_is_stored_as_it_was_when_put(client: Any) -> None:
    entity = Entity(client.key("Kind", 1))
    entity["list"] = [1]
    with client.batch() as batch:
        batch.put(entity)
        entity["list"].append(2)
    assert client.get(entity.key)["list"] == [1]


def test_get_multi_gives_what_there_is(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    keys = [client.key("Kind", 1), client.key("Kind", 2), client.key("None", "x")]
    assert [entity.key for entity in client.get_multi(keys)] == keys[:1]
    assert client.get_multi([]) == []


def test_namespaces_do_not_see_each_other(store_url: str, client: Any) -> None:
    other = connect(f"{store_url}?namespace=other")
    put(client, "Kind", 1, where="default")
    put(other, "Kind", 1, where="other")
    put(other, "Kind", 2, where="other")
    assert client.get(client.key("Kind", 1))["where"] == "default"
    assert other.get(other.key("Kind", 1))["where"] == "other"
    assert ids(client.query(kind="Kind")) == [1]
    assert ids(other.query(kind="Kind")) == [1, 2]
    assert next(iter(other.query(kind="Kind").fetch())).key.namespace == "other"


REFUSED = [
    ({"path": ("Kind", 1), "s": "x" * 1501}, 'The value of property "s" is longer than 1500 bytes'),
    ({"path": ("Kind", 1), "s": "é" * 751}, "longer than 1500 bytes"),
    ({"path": ("Kind", 1), "s": b"x" * 1501}, "longer than 1500 bytes"),
    ({"path": ("Kind", 1), "s": ["x" * 1501]}, "longer than 1500 bytes"),
    ({"path": ("Kind", 1), "s": [[1]]}, "list_value cannot contain"),
    ({"path": ("Kind", 1), "__s__": 1}, "reserved"),
    ({"path": ("Kind", 1), "": 1}, "property.name is the empty string"),
    ({"path": ("Kind", 0)}, "Must not be zero"),
    ({"path": ("Kind", "")}, "key path element name is the empty string"),
    ({"path": ("Kind", "__1__")}, "reserved"),
    ({"path": ("Kind", "x" * 1501)}, "key path element name is longer than 1500 bytes"),
    ({"path": ("__Kind__", 1)}, 'The kind "__Kind__" is reserved'),
    ({"path": ("", 1)}, "The kind is the empty string"),
]


@pytest.mark.parametrize(("entity", "message"), REFUSED, ids=lambda each: repr(each)[:40])
def test_what_cannot_be_stored_is_refused(client: Any, entity: Any, message: str) -> None:
    values = {name: value for name, value in entity.items() if name != "path"}
    with pytest.raises(InvalidArgument, match=message):
        put(client, *entity["path"], **values)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**64], (1, 2), object(), {1, 2}])
def test_types_that_datastore_lacks_are_refused(client: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="Value out of range|Unknown protobuf attr type"):
        put(client, "Kind", 1, value=value)


def test_longest_indexed_values_are_stored(client: Any) -> None:
    longest = {"s": "é" * 750, "b": b"\x00" * 1500, "l": ["x" * 1500]}
    put(client, "Kind", 1, **longest)
    put(client, "Kind", 2, exclude=("s",), s="x" * 1_000_000)
    assert dict(client.get(client.key("Kind", 1))) == longest
    assert ids(find(client, "Kind", ("b", "=", b"\x00" * 1500))) == [1]


def test_keys_of_others_are_refused(client: Any) -> None:
    other = Key("Kind", 1, project="somebody-else")
    with pytest.raises(ValueError, match="Key must be from same project as batch"):
        client.put(Entity(other))
    with pytest.raises(ValueError, match="Key must be from same project as batch"):
        client.delete(other)
    with pytest.raises(ValueError, match="Keys do not match project"):
        client.get(other)
    with pytest.raises(ValueError, match="Entity must have a key"):
        client.put(Entity())
    with pytest.raises(ValueError, match="Pass a sequence of entities"):
        client.put_multi(Entity(client.key("Kind", 1)))


def test_one_entity_twice_in_a_commit(client: Any) -> None:
    twice = [Entity(client.key("Kind", 1)), Entity(client.key("Kind", 1))]
    with pytest.raises(InvalidArgument, match="may not contain multiple mutations"):
        client.put_multi(twice)
    assert client.get(client.key("Kind", 1)) is None


def delete_and_fail(client: Any, batch: Any, key: Key) -> None:
    def work() -> None:
        with batch:
            client.delete(key)
            raise LookupError

    with pytest.raises(LookupError):
        work()


def test_a_batch_is_all_or_nothing(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    with client.batch() as batch:
        batch.delete(client.key("Kind", 1))
        client.put(Entity(client.key("Kind", 2)))
        assert client.current_batch is batch
        assert client.current_transaction is None
        assert ids(client.query(kind="Kind")) == [1]
    assert ids(client.query(kind="Kind")) == [2]
    batch = client.batch()
    delete_and_fail(client, batch, client.key("Kind", 2))
    assert ids(client.query(kind="Kind")) == [2]
    with pytest.raises(ValueError, match="Batch must be in progress to put"):
        batch.put(Entity(client.key("Kind", 3)))


def test_count(client: Any) -> None:
    client.put_multi([Entity(client.key("Kind", n)) for n in range(1, 8)])
    put(client, "Kind", 1, tags=["a", "b"])
    assert count(client, client.query(kind="Kind")) == 7
    assert count(client, find(client, "Kind", ("tags", ">=", "a"))) == 1
    assert count(client, client.query(kind="None")) == 0


def test_transaction_commits_or_rolls_back(client: Any) -> None:
    with client.transaction() as transaction:
        assert client.current_transaction is transaction
        client.put(Entity(client.key("Kind", 1)))
        transaction.put(Entity(client.key("Kind", 2)))
    assert client.current_transaction is None
    assert ids(client.query(kind="Kind")) == [1, 2]
    delete_and_fail(client, client.transaction(), client.key("Kind", 1))
    assert client.get(client.key("Kind", 1)) is not None


def test_transaction_does_not_see_its_own_writes(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    with client.transaction():
        put(client, "Kind", 1, a=2)
        put(client, "Kind", 2, a=2)
        assert client.get(client.key("Kind", 1))["a"] == 1
        assert ids(find(client, "Kind", ("a", "=", 2))) == []
    assert ids(find(client, "Kind", ("a", "=", 2))) == [1, 2]


def test_read_only_transaction(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    with client.transaction(read_only=True) as transaction:
        assert client.get(client.key("Kind", 1))["a"] == 1
        assert ids(client.query(kind="Kind")) == [1]
        with pytest.raises(RuntimeError, match="Transaction is read only"):
            transaction.put(Entity(client.key("Kind", 2)))


def elsewhere(write: Any) -> None:
    """Write in another thread, which has no current transaction."""
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


def conflict(client: Any, read: Any, write: Any) -> bool:
    """Whether a transaction that reads fails when another writes before it commits."""
    try:
        with client.transaction():
            read()
            elsewhere(write)
            client.put(Entity(client.key("Result", 1)))
    except Aborted:
        assert client.get(client.key("Result", 1)) is None
        return True
    return False


def test_a_changed_entity_aborts(client: Any) -> None:
    key = put(client, "Kind", 1, a=1).key
    assert conflict(client, lambda: client.get(key), lambda: put(client, "Kind", 1, a=2))
    assert conflict(client, lambda: client.get(key), lambda: client.delete(key))
    assert conflict(client, lambda: client.get(key), lambda: put(client, "Kind", 1, a=3))
    read = partial(get_values, client, [key], "a")
    assert conflict(client, read, lambda: put(client, "Kind", 1, a=4))


def test_what_a_transaction_read_is_written_over(client: Any) -> None:
    """Also where others wrote meanwhile, so that its snapshot is not the newest state."""
    put(client, "Kind", 1, a=1, tags=["x", "y"])
    put(client, "Kind", 2, a=1)
    keys = [client.key("Kind", n) for n in (1, 2, 3)]
    assert ids(find(client, "Kind", ("a", "=", 1))) == [1, 2]
    assert ids(find(client, "Kind", ("tags", "=", "x"))) == [1]
    transaction = client.transaction()
    transaction.begin()
    first, _ = client.get_multi(keys, transaction=transaction)
    put(client, "Else", 1)
    first.update(a=2, tags=["y", "z"])
    made = Entity(keys[2])
    made["a"] = 1
    transaction.put(first)
    transaction.delete(keys[1])
    transaction.put(made)
    transaction.commit()
    assert ids(find(client, "Kind", ("a", "=", 1))) == [3]
    assert ids(find(client, "Kind", ("a", "=", 2))) == [1]
    assert [ids(find(client, "Kind", ("tags", "=", tag))) for tag in "xyz"] == [[], [1], [1]]


def test_another_entity_does_not_abort(client: Any) -> None:
    key = put(client, "Kind", 1, a=1).key
    assert not conflict(client, lambda: client.get(key), lambda: put(client, "Kind", 2, a=2))
    assert not conflict(client, lambda: None, lambda: put(client, "Kind", 1, a=2))


def test_an_entity_that_a_query_would_find_aborts(client: Any, is_embedded: bool) -> None:
    if not is_embedded:
        pytest.skip("the emulator does not notice phantoms; Datastore is serialisable and does")
    put(client, "Kind", 1, a=1)
    query = find(client, "Kind", ("a", "=", 1))
    assert conflict(client, lambda: ids(query), lambda: put(client, "Kind", 2, a=1))
    query = find(client, "New", ("a", ">", 1))
    assert conflict(client, lambda: ids(query), lambda: put(client, "New", 2, a=2))
    query = client.query(kind="Newer")
    assert conflict(client, lambda: ids(query), lambda: put(client, "Newer", 2, a=2))


def test_two_transactions_on_one_entity(client: Any) -> None:
    key = put(client, "Kind", 1, a=0).key
    first, second = client.transaction(), client.transaction()
    for transaction in (first, second):
        transaction.begin()
        entity = client.get(key, transaction=transaction)
        entity["a"] += 1
        transaction.put(entity)
    first.commit()
    with pytest.raises(Aborted):
        second.commit()
    assert client.get(key)["a"] == 1


def test_run_in_transaction_tries_again(client: Any) -> None:
    key = put(client, "Kind", 1, a=0).key
    attempts = []

    def increment() -> int:
        entity = client.get(key)
        if not attempts:
            other = client.transaction()
            other.begin()
            changed = client.get(key, transaction=other)
            changed["a"] += 10
            other.put(changed)
            other.commit()
        attempts.append(entity["a"])
        entity["a"] += 1
        client.put(entity)
        return int(entity["a"])

    assert run_in_transaction(client, increment, first_wait=0.001) == 11
    assert attempts == [0, 10]
    assert client.get(key)["a"] == 11
