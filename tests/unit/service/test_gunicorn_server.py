"""gunicorn with real sockets: requests that never end, and the signals that end it."""

import http.client
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.gunicorn_server import READ_RATE, DeadlineSocket
from tests.support.command import environment
from tests.support.plain_service import LARGE
from tests.support.processes import free_port, process, wait_until


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A service with two threads."""
    found = free_port()
    with process("-m", "tests.support.plain_service", str(found), env=environment()):
        wait_until(lambda: is_up(found), 60)
        yield found


def is_up(port: int) -> bool:
    try:
        return answer(port) == b"here"
    except OSError:
        return False


def answer(port: int, body: bytes | None = None, path: str = "/") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST" if body is not None else "GET", path, body)
    found = connection.getresponse().read()
    connection.close()
    return found


@pytest.mark.parametrize(
    "part",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["head", "body", "chunk", "answer that is not read"],
)
def test_unfinished_requests_do_not_hold_all_threads(port: int, part: bytes) -> None:
    waiting = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(5)]
    try:
        for each in waiting:
            each.sendall(part)
        assert answer(port) == b"here"
    finally:
        for each in waiting:
            each.close()


def test_an_idle_connection_is_kept_as_long_as_the_setting_says(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        found = b""
        while part := connection.recv(1000):  # ends when the service closes it
            found += part
    assert found.endswith(b"here")
    assert b"Connection: keep-alive" in found


def test_a_large_body_arrives_whole(port: int) -> None:
    assert answer(port, bytes(5_000_000)) == b"5000000"


def test_a_large_answer_arrives_whole(port: int) -> None:
    assert answer(port, path="/large") == bytes(LARGE)


def test_a_file_is_sent_from_its_offset(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    (tmp_path / "a").write_bytes(b"0123456789")
    with (
        DeadlineSocket(fileno=ours.detach()) as connection,
        theirs,
        open(tmp_path / "a", "rb") as file,
    ):
        assert connection.sendfile(file, 3, 4) == 4
        assert theirs.recv(99) == b"3456"
        assert connection.sendfile(file, 8) == 2
        assert theirs.recv(99) == b"89"


def test_a_read_ends_at_the_deadline_and_bytes_extend_it() -> None:
    ours, theirs = socket.socketpair()
    connection = DeadlineSocket(fileno=ours.detach())
    connection.deadline = before = time.monotonic() + 60
    theirs.sendall(bytes(1000))
    assert len(connection.recv(4096)) == 1000
    assert connection.deadline == pytest.approx(before + 1000 / READ_RATE)
    connection.deadline = time.monotonic() + 0.05
    assert connection.recv(4096) == b""  # nobody writes: no longer waited for
    theirs.sendall(b"late")
    connection.deadline = time.monotonic() - 1
    assert connection.recv(4096) == b""
    connection.close()
    theirs.close()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_it_and_frees_the_port(number: signal.Signals) -> None:
    port = free_port()
    with process("-m", "tests.support.plain_service", str(port), env=environment()) as running:
        wait_until(lambda: is_up(port), 60)
        running.send_signal(number)
        assert running.wait(60) == 0
    with socket.create_server(("127.0.0.1", port)):
        pass
