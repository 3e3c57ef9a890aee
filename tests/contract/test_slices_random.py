"""Reading with the cache gives what reading without it gives, whatever happens to either.

Random stores, windows and settings; posts that are inserted, edited, removed, purged, or written by
another program; slices that are damaged, mixed up or left by a process that was killed.
"""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from google.cloud.datastore import Entity
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dfpipe.datastore import Store, connect
from dfpipe.posts import purging, storing
from dfpipe.posts.post import KIND, Post
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices.folders import LocalFolder
from dfpipe.slices.parts import parts
from dfpipe.slices.reader import tokens_of
from tests.support.datastore_emulator import Emulator
from tests.support.slices import batches_of, posts_of

# More of them look longer: DFPIPE_TEST_SLICES=5000.
EXAMPLES = int(os.environ.get("DFPIPE_TEST_SLICES", "60"))
START = datetime(2015, 1, 7, tzinfo=UTC)
SPAN = 12  # hours
TIDS = st.integers(1, 12)
ANY = st.integers(0, 10_000)
TIMES = st.builds(
    lambda hour, minute: START + timedelta(hours=hour, minutes=minute),
    st.integers(0, SPAN),
    st.sampled_from([0, 0, 1, 30, 59]),
)
TEXTS = st.sampled_from(["", "storm", "the storm hits", "storm in paris today", "Café @anna"])
URLS = st.lists(st.sampled_from(["http://a.com", "https://B.org/x?utm_source=y"]), max_size=2)
POSTS = st.builds(
    Post, TIDS, st.sampled_from(["anna", "ben"]), TEXTS, TIMES, URLS.map(tuple), st.none() | TIMES
)
# Whole entities of another program: it may leave out anything, or keep what this project wrote.
ODD = st.fixed_dictionaries(
    {"created_at": TIMES},
    optional={
        "tid": TIDS | st.none() | st.just("7"),
        "user": st.sampled_from(["anna", None, 5]),
        "text": TEXTS | st.none() | st.just(3),
        "urls": URLS | st.none() | st.just("http://a.com"),
        "stored_at": st.sampled_from([None, START, "now", 7]),
        "checksum": st.sampled_from([None, 7, "x"]),
    },
)


class Cached(RuleBasedStateMachine):
    """One store, and the cache of its runs."""

    emulator: ClassVar[Emulator | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        for module in ("dfpipe.posts.reading", "dfpipe.slices.reader"):
            self.stack.enter_context(mock.patch(f"{module}.BATCH", 3))
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.cache = folder / "cache"
        source = f"sqlite:///{folder}/p.db"
        if self.emulator is not None:
            self.emulator.reset()
            source = "datastore://random"
        self.client: Store = connect(source)
        self.client.put(Entity(self.client.key("Other", 1)))
        self.stack.callback(self.client.close)
        self.reading = Reading(source, "modern", frozenset({"the"}), str(self.cache))
        self.window = Window(START, START + timedelta(hours=SPAN), START + timedelta(hours=9))
        self.slices = 3
        self.now = START

    def teardown(self) -> None:
        self.stack.close()

    @rule(posts=st.lists(POSTS, min_size=1, max_size=6), step=st.sampled_from([0, 0, 1, -2]))
    def write(self, posts: list[Post], step: int) -> None:
        """Insert or replace by the one rule, while the clock stands still, goes or is set back."""
        self.now += timedelta(seconds=step)
        storing.store(self.client, posts, now=self.now)

    @rule(tids=st.lists(TIDS, min_size=1, max_size=3))
    def remove(self, tids: list[int]) -> None:
        storing.store(self.client, (), tids, now=self.now)

    @rule(post=POSTS)
    def come_back(self, post: Post) -> None:
        """Remove a post and store another form of it, at the same moment."""
        storing.store(self.client, (), [post.tid], now=self.now)
        storing.store(self.client, [post], now=self.now)

    @rule(until=TIMES)
    def purge(self, until: datetime) -> None:
        list(purging.purge(self.client, until))

    @rule(key=TIDS | st.just("named-1"), properties=ODD)
    def write_oddly(self, key: int | str, properties: dict[str, Any]) -> None:
        entity = Entity(self.client.key(KIND, key), exclude_from_indexes=("text", "urls"))
        entity.update(properties)
        self.client.put(entity)

    @rule(tid=TIDS, hours=st.integers(0, SPAN))
    def touch_oddly(self, tid: int, hours: int) -> None:
        """Another program moves a post, and keeps its other properties."""
        entity = self.client.get(self.client.key(KIND, tid))
        if entity is not None:
            entity["created_at"] = START + timedelta(hours=hours)
            self.client.put(entity)

    @rule(tid=TIDS)
    def delete_oddly(self, tid: int) -> None:
        self.client.delete(self.client.key(KIND, tid))

    @rule(start=TIMES, minutes=st.integers(1, 600), recent=st.integers(1, 300))
    def other_window(self, start: datetime, minutes: int, recent: int) -> None:
        end = start + timedelta(minutes=minutes)
        self.window = Window(start, end, end - timedelta(minutes=recent))

    @rule(n=st.sampled_from([1, 2, 5, 64]))
    def other_slices(self, n: int) -> None:
        self.slices = n

    @rule(text=st.sampled_from(["modern", "classic"]), stop=st.sampled_from(["the", "storm"]))
    def other_settings(self, text: str, stop: str) -> None:
        self.reading = dataclasses.replace(self.reading, text=text, stop_words=frozenset({stop}))

    def files(self) -> list[Path]:
        return sorted(self.cache.glob("*/*.parquet"), key=lambda file: file.stat().st_mtime_ns)

    @precondition(lambda self: self.files())
    @rule(n=ANY, at=ANY, bit=st.none() | st.integers(0, 7))
    def damage(self, n: int, at: int, bit: int | None) -> None:
        """Cut a slice, or flip a bit of it."""
        files = self.files()
        file = files[n % len(files)]
        content = bytearray(file.read_bytes())
        at %= len(content) or 1
        if bit is None or not content:
            content = content[:at]
        else:
            content[at] ^= 1 << bit
        file.write_bytes(content)

    @precondition(lambda self: self.files())
    @rule(n=ANY, m=ANY, move=st.booleans())
    def mix_up(self, n: int, m: int, move: bool) -> None:
        """Put a slice in place of another, or give it to other settings."""
        files = self.files()
        one, other = files[n % len(files)], files[m % len(files)]
        to = other.parent / one.name if move else other
        if to != one:
            shutil.copy(one, to)

    @rule()
    def empty(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)

    @rule(writes=st.integers(0, 3), posts=st.lists(POSTS, max_size=3))
    def kill(self, writes: int, posts: list[Post]) -> None:
        """End a run at a write, its file left unfinished; posts arrive before the next one."""

        def write(folder: LocalFolder, path: str, data: bytes, left: list[int] = [writes]) -> None:  # noqa: B006
            if not left[0]:
                folder.prepare()
                (folder._path / f"{path.replace('/', '-')}.part").write_bytes(
                    data[: len(data) // 2]
                )
                raise KeyboardInterrupt
            left[0] -= 1
            whole(folder, path, data)

        whole = LocalFolder.write
        with mock.patch.object(LocalFolder, "write", write), suppress(KeyboardInterrupt):
            batches_of(self.reading, self.window, self.slices)
        storing.store(self.client, posts, now=self.now)

    @rule(posts=st.lists(POSTS, min_size=1, max_size=4), n=st.integers(0, 4), m=st.integers(0, 4))
    def at_once(self, posts: list[Post], n: int, m: int) -> None:
        """Two runs take turns while posts are written and removed."""
        runs = [self.stream(), self.stream()]
        for steps, tids in ((n, ()), (m, [posts[0].tid])):
            for _ in range(steps):
                next(runs[0], None)
            storing.store(self.client, posts[: 1 if tids else None], tids, now=self.now)
            next(runs[1], None)
        for run in runs:
            for _ in run:
                pass

    def stream(self) -> Iterator[Any]:
        tokens = tokens_of(self.reading)
        return (b for p in parts(self.reading, self.window, self.slices) for b in tokens(p))

    @invariant()
    def the_cache_changes_nothing(self) -> None:
        plain = dataclasses.replace(self.reading, cache=None)
        expected = posts_of(batches_of(plain, self.window, self.slices))
        for _ in range(2):
            found = batches_of(self.reading, self.window, self.slices)
            assert posts_of(found) == expected
            total = sum(len(batch.tids) + batch.skipped for batch in found)
            reads = [batch.reads for batch in found]
            assert sum(r.posts_read + r.posts_cached for r in reads) >= total
            assert sum(r.posts_cached for r in reads) <= total


def settings_of(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_the_cache_changes_nothing_on_an_embedded_store() -> None:
    run_state_machine_as_test(Cached, settings=settings_of(EXAMPLES))


def test_the_cache_changes_nothing_on_googles_emulator(
    datastore_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASTORE_EMULATOR_HOST", datastore_emulator.host)
    monkeypatch.setattr(Cached, "emulator", datastore_emulator)
    run_state_machine_as_test(Cached, settings=settings_of(EXAMPLES // 5))
