"""Queries, answered alike by both clients: the embedded one, and Google's over its emulator."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore import Entity
from google.cloud.datastore.helpers import GeoPoint
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import (
    count,
    fetch_keys,
    fetch_numbers,
    fetch_projection,
    fetch_values,
    get_values,
)
from tests.support.labels import label

START = datetime(2026, 1, 1, tzinfo=UTC)


def put(client: Any, *path: Any, **values: Any) -> None:
    entity = Entity(client.key(*path))
    entity.update(values)
    client.put(entity)


def find(client: Any, kind: str, *filters: tuple[str, str, Any], **options: Any) -> Any:
    query = client.query(kind=kind, **options)
    for each in filters:
        query.add_filter(filter=PropertyFilter(*each))
    return query


def ids(query: Any, **options: Any) -> list[Any]:
    return [entity.key.id_or_name for entity in query.fetch(**options)]


# In the order of Datastore; where two are level, the id decides.
ORDERED = [
    None,
    [],
    datetime(1900, 1, 1, tzinfo=UTC),
    -5,
    0,
    datetime(1970, 1, 1, tzinfo=UTC),
    3,
    datetime(2020, 1, 1, tzinfo=UTC),
    2**62,
    False,
    True,
    b"",
    "",
    b"\x00",
    b"ab",
    "ab",
    "ab\x00",
    "abc",
    "é",
    b"\xff",
    -math.inf,
    -1e300,
    -0.0,
    0.0,
    2.5,
    math.inf,
    GeoPoint(-1, 2),
    GeoPoint(1, -2),
    GeoPoint(1, 2),
]
OPERATIONS = ("=", "<", "<=", ">", ">=")


def put_ordered(client: Any) -> None:
    entities = []
    for at, value in enumerate(ORDERED):
        entity = Entity(client.key("Value", at + 1))
        entity["v"] = value
        entities.append(entity)
    client.put_multi(entities)


def test_values_of_all_types_sort_alike(client: Any) -> None:
    put_ordered(client)
    everything = list(range(1, len(ORDERED) + 1))
    assert ids(client.query(kind="Value", order=["v"])) == everything
    descending = ids(client.query(kind="Value", order=["-v"]))
    # Level values stay in the order of their keys.
    level = [[1, 2], [5, 6], [12, 13], [15, 16]]
    expected: list[int] = []
    for at in reversed(everything):
        pair = next((pair for pair in level if at in pair), [at])
        expected += [each for each in pair if each not in expected]
    assert descending == expected


# What each comparison finds in ORDERED, by ids: of the level values either may be asked for.
@pytest.mark.parametrize(
    ("value", "below", "level"),
    [
        (None, 0, 2),
        (0, 4, 2),
        (datetime(2020, 1, 1, tzinfo=UTC), 7, 1),
        (True, 10, 1),
        ("ab", 14, 2),
        (b"ab", 14, 2),
        (0.0, 23, 1),
        (1.0, 24, 0),
        (GeoPoint(1, -2), 27, 1),
    ],
    ids=label,
)
def test_comparisons_go_by_that_order(client: Any, value: Any, below: int, level: int) -> None:
    put_ordered(client)
    everything = list(range(1, len(ORDERED) + 1))
    expected = {
        "=": everything[below : below + level],
        "<": everything[:below],
        "<=": everything[: below + level],
        ">": everything[below + level :],
        ">=": everything[below:],
    }
    found = {
        operator: ids(find(client, "Value", ("v", operator, value))) for operator in OPERATIONS
    }
    assert found == expected


def test_keys_sort_ids_before_names(client: Any) -> None:
    names = [-3, 1, 2, 5, "A", "a", "é"]
    for name in reversed(names):
        put(client, "Kind", name)
    assert ids(client.query(kind="Kind")) == names
    low, high = client.key("Kind", 1), client.key("Kind", "A")
    assert ids(find(client, "Kind", ("__key__", ">", low), ("__key__", "<=", high))) == names[2:5]
    assert ids(find(client, "Kind", ("__key__", ">=", low), ("__key__", "<", high))) == names[1:4]
    assert ids(find(client, "Kind", ("__key__", "=", low))) == [1]


def test_equality_on_several_properties(client: Any) -> None:
    for n in range(1, 31):
        put(client, "Kind", n, two=n % 2, three=n % 3, five=n % 5)
    assert ids(find(client, "Kind", ("two", "=", 1), ("three", "=", 0))) == [3, 9, 15, 21, 27]
    query = find(client, "Kind", ("two", "=", 0), ("three", "=", 0), ("five", "=", 0))
    assert ids(query) == [30]
    beyond = client.key("Kind", 9)
    query = find(client, "Kind", ("two", "=", 1), ("three", "=", 0), ("__key__", ">", beyond))
    assert ids(query) == [15, 21, 27]
    assert ids(query, limit=2) == [15, 21]
    assert ids(find(client, "Kind", ("two", "=", 1), ("two", "=", 0))) == []
    assert ids(find(client, "Kind", ("two", "=", 1), ("none", "=", 0))) == []


def test_ties_go_by_key_whichever_way_the_order(client: Any) -> None:
    for n in (5, 2, 9, 1):
        put(client, "Kind", n, a=1 if n < 6 else 0, b=1)
    assert ids(client.query(kind="Kind", order=["a"])) == [9, 1, 2, 5]
    assert ids(client.query(kind="Kind", order=["-a"])) == [1, 2, 5, 9]
    assert ids(client.query(kind="Kind", order=["-a", "__key__"])) == [1, 2, 5, 9]
    assert ids(find(client, "Kind", ("b", "=", 1), order=["-b"])) == [1, 2, 5, 9]


def test_a_range_limits_both_ends(client: Any) -> None:
    for n in range(1, 10):
        put(client, "Kind", n, a=n / 2)
    query = find(client, "Kind", ("a", ">", 1.0), ("a", "<=", 3.0))
    assert ids(query) == [3, 4, 5, 6]
    assert ids(find(client, "Kind", ("a", ">=", 1.0), ("a", "<", 3.0), order=["-a"])) == [
        5,
        4,
        3,
        2,
    ]
    assert ids(find(client, "Kind", ("a", ">", 3.0), ("a", "<", 2.0))) == []


def test_queries_that_are_never_allowed(client: Any) -> None:
    put(client, "Kind", 1, a=1, b=1)
    with pytest.raises(InvalidArgument, match="first sort property must be the same"):
        ids(find(client, "Kind", ("a", ">", 0), order=["b"]))
    with pytest.raises(InvalidArgument, match="Only one inequality filter"):
        ids(find(client, "Kind", ("a", ">", 0), ("b", ">", 0)))
    with pytest.raises(InvalidArgument, match="is not allowed"):
        ids(find(client, "Kind", ("a", "=", {"x": 1})))


def test_properties_that_are_excluded_or_missing_are_not_found(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    excluded = Entity(client.key("Kind", 2), exclude_from_indexes=("a",))
    excluded["a"] = 1
    client.put(excluded)
    put(client, "Kind", 3, b=1)
    assert ids(find(client, "Kind", ("a", "=", 1))) == [1]
    assert ids(client.query(kind="Kind", order=["a"])) == [1]
    assert ids(client.query(kind="Kind")) == [1, 2, 3]


def test_lists_are_found_by_each_element_once(client: Any) -> None:
    for n in (5, 2, 9, 1):
        put(client, "Kind", n, l=[n, n + 1, 1, 1])
    assert ids(client.query(kind="Kind", order=["l"])) == [1, 2, 5, 9]
    assert ids(client.query(kind="Kind", order=["-l"])) == [9, 5, 2, 1]
    assert ids(find(client, "Kind", ("l", ">", 1))) == [1, 2, 5, 9]
    assert ids(find(client, "Kind", ("l", ">", 1)), limit=2) == [1, 2]
    assert ids(find(client, "Kind", ("l", "=", 1), ("l", "=", 2))) == [1, 2]


def test_embedded_entities_are_found_by_dotted_names(client: Any) -> None:
    put(client, "Kind", 1, m={"x": 1, "y": [2, 3]}, n=[{"x": 1}, {"x": 2}])
    put(client, "Kind", 2, m={"x": 2}, n=[])
    assert ids(find(client, "Kind", ("m.x", "=", 1))) == [1]
    assert ids(find(client, "Kind", ("m.y", ">", 1))) == [1]
    assert ids(find(client, "Kind", ("n.x", "=", 2))) == [1]
    assert ids(client.query(kind="Kind", order=["-m.x"])) == [2, 1]


def put_tasks(client: Any) -> None:
    for n in range(1, 21):
        put(client, "Task", n, queue="ab"[n % 2], eta=n * 7 % 10, tags=["odd", "even"][n % 2 :])


QUERIES: list[Any] = [
    lambda client: client.query(kind="Task"),
    lambda client: client.query(kind="Task", order=["-eta"]),
    lambda client: find(client, "Task", ("queue", "=", "a")),
    lambda client: find(client, "Task", ("eta", ">", 2), ("eta", "<", 8)),
    lambda client: find(client, "Task", ("queue", "=", "a"), ("eta", "=", 4)),
    lambda client: find(
        client, "Task", ("queue", "=", "b"), ("__key__", ">", client.key("Task", 3))
    ),
    lambda client: client.query(kind="Task", order=["eta"], projection=["eta"]),
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_cursors_go_on_where_a_page_ended(client: Any, number: int) -> None:
    put_tasks(client)
    query = QUERIES[number](client)
    everything = ids(query)
    assert len(everything) == len(set(everything)) > 1
    found: list[Any] = []
    cursor = None
    while len(found) < len(everything):
        results = query.fetch(limit=3, start_cursor=cursor)
        page = [entity.key.id_or_name for entity in results]
        assert page == everything[len(found) : len(found) + 3]
        found += page
        cursor = results.next_page_token


def test_a_token_leads_behind_the_last_result(client: Any) -> None:
    put_tasks(client)
    query = client.query(kind="Task")
    results = query.fetch(limit=20)
    assert len(list(results)) == 20
    assert isinstance(results.next_page_token, bytes)
    assert ids(query, start_cursor=results.next_page_token) == []


def test_keys_only(client: Any) -> None:
    put_tasks(client)
    query = find(client, "Task", ("queue", "=", "b"))
    query.keys_only()
    found = list(query.fetch(limit=2))
    assert [entity.key for entity in found] == [client.key("Task", 1), client.key("Task", 3)]
    assert [dict(entity) for entity in found] == [{}, {}]


def test_an_entity_that_changes_moves_in_the_indexes(client: Any) -> None:
    due = find(client, "Task", ("eta", "<", 5), order=["eta"])
    put(client, "Task", 1, queue="a", eta=1, tags=["x", "y"])
    put(client, "Task", 2, queue="a", eta=2)
    put(client, "Task", 1, queue="a", eta=3, tags=["y", "z"])
    assert ids(due) == [2, 1]
    assert ids(find(client, "Task", ("tags", "=", "x"))) == []
    assert ids(find(client, "Task", ("tags", "=", "y"))) == [1]
    put(client, "Task", 2, queue="b", eta=7)
    assert ids(due) == [1]
    client.delete_multi([client.key("Task", 1), client.key("Task", 2)])
    assert ids(due) == []
    assert ids(client.query(kind="Task", order=["-eta"])) == []


def test_more_than_a_page(client: Any) -> None:
    entities = []
    for n in range(1, 2501):
        entity = Entity(client.key("Many", n))
        entity["n"] = -n
        entities.append(entity)
    for start in range(0, 2500, 500):
        client.put_multi(entities[start : start + 500])
    assert ids(client.query(kind="Many")) == list(range(1, 2501))
    assert ids(client.query(kind="Many", order=["n"])) == list(range(2500, 0, -1))


def test_values_without_entities(client: Any) -> None:
    put(client, "Kind", 1, a=1, text="one", urls=["u"])
    put(client, "Kind", 2, a=2, urls=[])
    put(client, "Kind", 3, text="three", a=3)
    query = find(client, "Kind", ("a", ">", 0), order=["-a"])
    expected = [("three", None), (None, []), ("one", ["u"])]
    assert list(fetch_values(query, "text", "urls")) == expected
    assert list(fetch_values(find(client, "None", ("a", "=", 1)), "text")) == []


def test_keys_without_entities(client: Any) -> None:
    put(client, "Kind", 1, a=1)
    put(client, "Kind", "two", a=2)
    put(client, "Kind", 3, a=0)
    keys = [client.key("Kind", 1), client.key("Kind", "two")]
    assert list(fetch_keys(find(client, "Kind", ("a", ">", 0)))) == keys
    assert list(fetch_keys(find(client, "Kind", ("a", ">", 0)), 1)) == keys[:1]
    assert list(fetch_keys(find(client, "None", ("a", "=", 1)))) == []


def put_posts(client: Any) -> None:
    for n in range(1, 9):
        post = {"created_at": START + timedelta(minutes=n // 2), "text": "t"}
        if n != 4:
            post["checksum"] = -n
            post["stored_at"] = START + timedelta(hours=10 - n, microseconds=n)
        put(client, "Tweet", n, **post)


def test_a_projection_of_times(client: Any) -> None:
    put_posts(client)
    query = client.query(kind="Tweet", projection=["created_at", "stored_at", "checksum"])
    query.add_filter(filter=PropertyFilter("created_at", ">=", START + timedelta(minutes=1)))
    query.add_filter(filter=PropertyFilter("created_at", "<", START + timedelta(minutes=4)))
    start = int(START.timestamp()) * 1_000_000
    expected = [
        (n, start + n // 2 * 60_000_000, start + (10 - n) * 3_600_000_000 + n, -n)
        for n in (3, 2, 5, 7, 6)
    ]
    assert list(fetch_projection(query)) == expected
    found = [(e.key.id, *(e[name] for name in query.projection)) for e in query.fetch()]
    assert found == expected
    assert [e.key.id for e in query.fetch(limit=2)] == [3, 2]
    # A post that another program stored has no stored_at: it is counted, and not projected.
    assert count(client, find(client, "Tweet", ("created_at", ">=", START))) == 8
    with client.transaction(read_only=True):
        assert list(fetch_projection(query)) == expected
        assert list(map(tuple, fetch_numbers(query).tolist())) == expected


def test_numbers_beside_odd_entities_that_are_as_long_together(client: Any) -> None:
    """Their bytes are as many as those of three entities with an id and a number."""
    put(client, "Tweet", 1, stored_at=None)
    put(client, "Tweet", 2, stored_at=START)
    put(client, "Tweet", "fourteen chars", stored_at=START + timedelta(hours=1))
    query = client.query(kind="Tweet", projection=["stored_at"])
    assert fetch_numbers(query).tolist() == [[2, int(START.timestamp()) * 1_000_000]]


def test_numbers_of_odd_entities(client: Any) -> None:
    put(client, "Tweet", 1, stored_at=START)
    put(client, "Tweet", 2, stored_at=None)
    put(client, "Tweet", "seven77", stored_at=START)
    put(client, "Tweet", "name", stored_at=START)
    query = client.query(kind="Tweet", projection=["stored_at"])
    micros = int(START.timestamp()) * 1_000_000
    assert fetch_numbers(query).tolist() == [[1, micros]]
    assert fetch_numbers(client.query(kind="None", projection=["stored_at"])).shape == (0, 2)


def test_a_projection_of_one_property(client: Any) -> None:
    put_posts(client)
    put(client, "Tweet", 9, stored_at=None)
    query = client.query(kind="Tweet", order=["stored_at"], projection=["stored_at"])
    assert [each[0] for each in fetch_projection(query)] == [9, 8, 7, 6, 5, 3, 2, 1]
    assert next(fetch_projection(query)) == (9, None)
    assert list(fetch_projection(client.query(kind="None", projection=["stored_at"]))) == []


def test_values_of_keys(client: Any) -> None:
    put(client, "Kind", 1, a=1, text="one", urls=["u"])
    put(client, "Other", "x", urls=[])
    keys = [client.key("Other", "x"), client.key("Kind", 2), client.key("Kind", 1)]
    expected = [(None, []), None, ("one", ["u"])]
    assert get_values(client, keys, "text", "urls") == expected
    with client.transaction():
        put(client, "Kind", 2, text="two")
        assert get_values(client, keys, "text", "urls") == expected
    assert get_values(client, keys[1:2], "text") == [("two",)]
