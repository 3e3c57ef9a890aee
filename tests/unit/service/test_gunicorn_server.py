"""gunicorn with real sockets: requests that never end, and the signals that end it."""

import http.client
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from service.gunicorn_server import READ_RATE, DeadlineSocket
from tests.support.command import environment
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


def answer(port: int, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST" if body is not None else "GET", "/", body)
    found = connection.getresponse().read()
    connection.close()
    return found


@pytest.mark.parametrize(
    "part",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["head", "body", "chunk"],
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


def test_a_large_body_arrives_whole(port: int) -> None:
    assert answer(port, bytes(5_000_000)) == b"5000000"


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
