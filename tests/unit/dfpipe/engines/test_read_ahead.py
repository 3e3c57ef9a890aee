"""Reading in processes beside this one: the same is found, whatever becomes of them."""

import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from dfpipe.analysis.tokenizing import Reads, Tally, TokenBatch, add_tallies
from dfpipe.engines import read_ahead
from dfpipe.engines.read_ahead import ReadAhead
from dfpipe.posts.reading import Reader
from dfpipe.posts.slices import Reading, TimeSlice, Window, time_slices
from dfpipe.transforms import ReadTokens
from tests.support.analysis import END, store_posts
from tests.support.command import environment
from tests.support.pipelines import outputs
from tests.support.processes import wait_until

WINDOW = Window(END - timedelta(hours=40), END, END - timedelta(hours=9))
SLICES = time_slices(WINDOW, 20)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    url = f"sqlite:///{tmp_path_factory.mktemp('ahead')}/p.db"
    posts = [
        {"tid": i + 1, "text": f"the storm number{i}", "created_at": END - timedelta(hours=i + 1)}
        | ({"urls": ["http://a.com"]} if i % 2 else {"text": None} if i % 10 == 0 else {})
        for i in range(40)
    ]
    store_posts(url, posts)
    return Reading(url, "modern", frozenset({"the"}))


@pytest.fixture
def reader(reading: Reading) -> Reader:
    return Reader(reading)


class Held(ReadAhead):
    def _start(self) -> "subprocess.Popen[bytes]":
        process = super()._start()
        process.send_signal(signal.SIGSTOP)
        return process


@pytest.fixture
def held(reading: Reading) -> Iterator[tuple[ReadAhead, psutil.Process, ThreadPoolExecutor]]:
    """One process that was given its first slices and stands still, and a thread to wait for it."""
    with ThreadPoolExecutor(1) as threads, Held(reading, SLICES, 1) as ahead:
        wait_until(lambda: len(ahead._under_way) == ReadAhead.AHEAD)
        yield ahead, psutil.Process(ahead._processes[0].pid), threads


def readable(batch: TokenBatch) -> list[object]:
    texts = (batch.word_counts(), batch.url_counts(), batch.users.counts())
    columns = (batch.tids.tolist(), batch.times.tolist())
    return [*map(sorted, texts), *columns, astuple(batch.tally())]


def found(ahead: ReadAhead, reader: Reader, slices: list[TimeSlice]) -> list[list[object]]:
    return [readable(t) for one in slices for t in ahead.take(one, reader.tokens)]


def read_here(reader: Reader) -> list[list[object]]:
    return [readable(t) for one in SLICES for t in reader.tokens(one)]


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_what_is_read_ahead_is_what_is_read_here(
    reading: Reading, reader: Reader, processes: int
) -> None:
    with ReadAhead(reading, SLICES, processes) as ahead:
        assert found(ahead, reader, SLICES) == read_here(reader)
        # A step that is tried again asks again.
        assert found(ahead, reader, SLICES) == read_here(reader)


def test_there_are_no_more_processes_than_slices(reading: Reading) -> None:
    with ReadAhead(reading, SLICES[:1], 1_000_000) as ahead:
        assert len(ahead._processes) == 1


def test_where_no_process_can_be_started_all_is_read_here(
    reading: Reading, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[psutil.Process] = []

    def start(self: ReadAhead) -> "subprocess.Popen[bytes]":
        if started:
            raise OSError(errno.EMFILE, "Too many open files")
        process = begin(self)
        started.append(psutil.Process(process.pid))
        return process

    begin = ReadAhead._start
    monkeypatch.setattr(ReadAhead, "_start", start)
    with ReadAhead(reading, SLICES, 2) as ahead:
        assert not started[0].is_running()
        assert found(ahead, reader, SLICES) == read_here(reader)


def test_all_may_be_done_by_others(reading: Reading, reader: Reader) -> None:
    with ReadAhead(reading, SLICES, 2) as ahead:
        wait_until(lambda: len(ahead._done) == len(SLICES))
        assert [readable(t) for one in SLICES for t in ahead.take(one, lambda _: [])] == read_here(
            reader
        )


def test_others_are_read_while_one_is_under_way(
    held: tuple[ReadAhead, psutil.Process, ThreadPoolExecutor], reader: Reader
) -> None:
    ahead, process, threads = held
    wanted = next(iter(ahead._under_way))
    waiting = threads.submit(found, ahead, reader, [wanted])
    wait_until(lambda: len(ahead._done) == len(SLICES) - ReadAhead.AHEAD)
    process.send_signal(signal.SIGCONT)
    assert waiting.result(timeout=60) == [readable(t) for t in reader.tokens(wanted)]
    assert found(ahead, reader, SLICES) == read_here(reader)


def test_what_a_killed_process_was_at_is_read_here(
    held: tuple[ReadAhead, psutil.Process, ThreadPoolExecutor], reader: Reader
) -> None:
    ahead, process, threads = held
    wanted = list(ahead._under_way)
    waiting = threads.submit(found, ahead, reader, wanted)
    wait_until(lambda: not ahead._waiting)
    process.kill()
    expected = [readable(t) for one in wanted for t in reader.tokens(one)]
    assert waiting.result(timeout=60) == expected
    assert found(ahead, reader, SLICES) == read_here(reader)


def test_what_a_process_cannot_read_fails_here(tmp_path: Path) -> None:
    def fail(time_slice: TimeSlice) -> Iterator[TokenBatch]:
        raise ValueError("there is no store")
        yield

    with ReadAhead(Reading(f"sqlite:///{tmp_path}/no.db", "modern", frozenset()), SLICES, 2) as a:
        for one in SLICES:
            with pytest.raises(ValueError, match="there is no store"):
                list(a.take(one, fail))


def test_processes_see_no_interrupt_of_the_terminal_and_are_ended(reading: Reading) -> None:
    with ReadAhead(reading, SLICES, 2) as ahead:
        pids = [process.pid for process in ahead._processes]
        assert os.getpgrp() not in [os.getpgid(pid) for pid in pids]
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("processes", [None, 0, 2])
def test_the_step_finds_the_same(reading: Reading, processes: int | None) -> None:
    def build(p: beam.Pipeline) -> dict[str, beam.PCollection]:
        return {"batches": p | ReadTokens(reading, WINDOW, 20)}

    ahead = nullcontext() if processes is None else ReadAhead(reading, SLICES, processes)
    with ahead:
        batches = outputs(build)["batches"]
    counts = sum((Counter(dict(batch.words.counts())) for batch in batches), Counter())
    assert counts == {"storm": 36} | {f"number{i}": 1 for i in range(40) if i % 10}
    urls = sum((Counter(dict(batch.url_counts())) for batch in batches), Counter())
    assert urls == {"http://a.com/": 20}
    assert add_tallies(batch.tally() for batch in batches) == Tally(
        36, 4, recent=8, reads=Reads(posts_read=40)
    )


def test_only_the_same_reading_is_answered(reading: Reading) -> None:
    other = Reading(reading.source, "classic", frozenset())
    with ReadAhead(reading, SLICES, 0) as ahead:
        assert read_ahead.tokens(other, SLICES[0], lambda _: ["read"]) == ["read"]
        assert SLICES[0] in ahead._waiting
        assert read_ahead.tokens(reading, SLICES[0], lambda _: ["read"]) == ["read"]
        assert SLICES[0] not in ahead._waiting
    assert read_ahead.tokens(reading, SLICES[1], lambda _: ["read"]) == ["read"]


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        ("--processes=3", 2),
        ("--processes 2 --runner=DirectRunner", 1),
        ("--processes=1", None),
        ("--processes=2 --runner=DataflowRunner", None),
        ("--processes=2 --direct_running_mode=multi_processing", None),
        ("--processes=2 --environment_type=PROCESS", None),
        ("--processes=2 --days=never", None),
        ("--processes", None),
    ],
)
def test_reading_ahead_is_for_steps_in_this_process(
    reading: Reading, words: str, processes: int | None
) -> None:
    given = [f"--store={reading.source}", "--slices=20", "--days=1", *words.split()]
    with ExitStack() as stack:
        begun = read_ahead.begin(given, {"DFPIPE_SINK": "duckdb:///r.duckdb"}, END)
        ahead = stack.enter_context(begun)
        if processes is None:
            assert ahead is None
        else:
            assert isinstance(ahead, ReadAhead)
            assert len(ahead._processes) == processes
            assert ahead.reading.source == reading.source


def test_stop_words_in_a_pipe_are_left_to_the_run(reading: Reading) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"storm\n")
    os.close(theirs)
    given = [f"--store={reading.source}", "--processes=2", f"--stopwords-file=/dev/fd/{ours}"]
    with read_ahead.begin(given, {"DFPIPE_SINK": "duckdb:///r.duckdb"}, END) as ahead:
        assert ahead is None
    assert os.read(ours, 100) == b"storm\n"
    os.close(ours)


PARENT = """
import sys, time
from datetime import UTC, datetime, timedelta
from dfpipe.engines.read_ahead import ReadAhead
from dfpipe.posts.slices import Reading
from dfpipe.posts.slices import TimeSlice, time_slices
end = datetime(2015, 1, 11, tzinfo=UTC)
slices = time_slices(TimeSlice(end - timedelta(hours=40), end), 20)
ahead = ReadAhead(Reading(sys.argv[1], "modern", frozenset()), slices, 2)
print("ready", flush=True)
time.sleep(600)
"""


def test_the_processes_end_with_one_that_is_killed(reading: Reading) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, reading.source],
        stdout=subprocess.PIPE,
        env=environment({"PYTHONPATH": os.getcwd()}),
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
