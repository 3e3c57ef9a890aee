"""What a run reads with the cache, and which queries it makes, on both kinds of store."""

import dataclasses
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dfpipe.analysis.tokenizing import Reads
from dfpipe.datastore import Store
from dfpipe.posts import purging, storing
from dfpipe.posts.post import KIND, Post
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices import reader
from dfpipe.slices.parts import has_most_slices
from dfpipe.slices.states import look
from tests.support.slices import batches_of, posts_of

START = datetime(2015, 1, 7, tzinfo=UTC)
HOURS = 12
WINDOW = Window(START, START + timedelta(hours=HOURS), START + timedelta(hours=9, minutes=20))
EACH = 5  # posts of an hour


@pytest.fixture
def reading(store_url: str, tmp_path: Path, client: Store) -> Reading:
    storing.store(client, map(post, range(HOURS * EACH)), now=START)
    return Reading(store_url, "modern", frozenset({"the"}), str(tmp_path / "cache"))


def post(n: int, text: str = "the storm") -> Post:
    return Post(n + 1, "anna", f"{text} {n}x", START + timedelta(hours=1) * n / EACH)


def check(reading: Reading, window: Window = WINDOW, n: int = 4) -> Reads:
    """Compare with a reading without the cache; give what was read."""
    found = batches_of(reading, window, n)
    plain = dataclasses.replace(reading, cache=None)
    assert posts_of(found) == posts_of(batches_of(plain, window, n))
    return sum((batch.reads for batch in found), Reads())


def files(reading: Reading) -> list[Path]:
    assert reading.cache is not None
    return sorted(Path(reading.cache).glob("*/*"))


def test_only_the_posts_of_changed_hours_are_read(reading: Reading, client: Store) -> None:
    posts = HOURS * EACH
    assert check(reading) == Reads(posts, 0, slices_made=HOURS)
    assert check(reading) == Reads(0, posts, slices_cached=HOURS)
    storing.store(client, [post(3 * EACH, "an edited storm")], now=START)
    assert check(reading) == Reads(EACH, posts - EACH, 1, HOURS - 1)
    storing.store(client, (), [8 * EACH + 1], now=START)
    assert check(reading) == Reads(EACH - 1, posts - EACH, 1, HOURS - 1)
    assert len(files(reading)) == HOURS  # the older slices of those hours are gone
    list(purging.purge(client, START + timedelta(hours=2, minutes=30)))
    assert check(reading).slices_made == 1


def test_windows_share_slices(reading: Reading) -> None:
    check(reading)
    inner = Window(*(START + timedelta(minutes=n) for n in (90, 400, 300)))
    reads = check(reading, inner, 64)
    assert (reads.posts_read, reads.slices_cached) == (0, 6)
    early = Window(START - timedelta(days=40), START + timedelta(minutes=1), START)
    assert check(reading, early) == Reads(0, 1, 0, 1)


def test_posts_of_another_program_are_read_each_time(reading: Reading, client: Store) -> None:
    foreign = client.get(client.key(KIND, 7 * EACH + 1))
    assert foreign is not None
    del foreign["stored_at"]
    client.put(foreign)
    assert check(reading).slices_made == HOURS - 1
    for n in range(2):
        foreign["text"] = f"changed {n}"
        client.put(foreign)
        assert check(reading) == Reads(EACH, (HOURS - 1) * EACH, 0, HOURS - 1)


@pytest.mark.parametrize("n", [1, 4, 64])
def test_queries(n: int, reading: Reading, client: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counting(store: Store, hours: range, **options: Any) -> Any:
        made.append("index" if options else "count or posts")
        return posts_of_hours(store, hours, **options)

    posts_of_hours = reader.posts_of
    for module in ("reader", "states"):
        monkeypatch.setattr(f"dfpipe.slices.{module}.posts_of", counting)
    parts = min(n, HOURS)
    check(reading, n=n)
    assert made == ["count or posts"] * parts  # nothing is in the cache: nothing is asked
    made.clear()
    check(reading, n=n)
    assert made == ["index", "count or posts"] * parts
    # The worst case: in each hour a post of another program
    for hour in range(HOURS):
        foreign = client.get(client.key(KIND, hour * EACH + 1))
        assert foreign is not None
        del foreign["checksum"]
        client.put(foreign)
    made.clear()
    check(reading, n=n)
    assert len(made) <= 4 * HOURS


def test_the_hours_of_another_program(reading: Reading, client: Store) -> None:
    hours = range(int(START.timestamp()) // 3600, int(WINDOW.end.timestamp()) // 3600)
    assert look(client, hours).stateless == frozenset()
    assert set(look(client, hours).states) == set(hours)
    for hour in (2, 3, 11):
        foreign = client.get(client.key(KIND, hour * EACH + 1))
        assert foreign is not None
        del foreign["stored_at"]
        client.put(foreign)
    found = look(client, hours)
    assert found.stateless == {hours[2], hours[3], hours[11]}
    assert set(found.states) == set(hours) - found.stateless


def test_whether_reading_ahead_pays(reading: Reading) -> None:
    assert not has_most_slices(reading, WINDOW)
    check(reading)
    assert has_most_slices(reading, WINDOW)
    for days, expected in ((0.9, True), (1.1, False)):
        longer = dataclasses.replace(WINDOW, start=WINDOW.end - timedelta(days=days))
        assert has_most_slices(reading, longer) == expected
    for other in (
        dataclasses.replace(reading, cache=None),
        dataclasses.replace(reading, cache="gs://bucket/cache"),
        dataclasses.replace(reading, text="classic"),
    ):
        assert not has_most_slices(other, WINDOW)


def test_a_damaged_slice_is_made_again(reading: Reading) -> None:
    check(reading)
    file = files(reading)[0]
    whole = file.stat().st_size
    os.truncate(file, whole // 2)
    assert check(reading).slices_made == 1
    assert file.stat().st_size == whole
    assert check(reading).slices_made == 0


def test_a_slice_of_other_settings_is_not_taken(reading: Reading) -> None:
    check(reading)
    other = dataclasses.replace(reading, text="classic")
    check(other)
    for file in files(reading):
        for folder in {each.parent for each in files(reading)} - {file.parent}:
            (folder / file.name).write_bytes(file.read_bytes())
    assert check(reading).slices_made + check(other).slices_made == HOURS


@pytest.fixture
def locked(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> Reading:
    def refuse(*_: object) -> None:
        raise PermissionError("for reading only")

    monkeypatch.setattr("dfpipe.slices.folders.LocalFolder.write", refuse)
    return reading


def test_a_cache_for_reading_only(locked: Reading) -> None:
    assert check(locked) == Reads(HOURS * EACH)
    assert files(locked) == []
