"""gunicorn without a configuration file, with deadlines for clients that send or read slowly."""

import errno
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

READ_SECONDS = 10.0  # for the head of a request, and then for its body
READ_RATE = 10_000  # bytes; each so many that arrive give a body one second more
# Longer: the system takes much of an answer at once, and then nothing until the client has read it.
SEND_SECONDS = 30.0


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn with settings by name.

    `make_app` is called once in each worker process, so that no connection to a store is shared.
    """

    def __init__(self, make_app: Callable[[], Flask], **settings: object) -> None:
        self._make_app = make_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take the settings that were given, and that this version of gunicorn knows."""
        self.cfg.set("when_ready", end_at_hangup)
        for name, value in self._settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, once in each worker process."""
        return self._make_app()


def end_at_hangup(_: object) -> None:
    """Let SIGHUP end the service, which would else outlive its terminal and keep the port.

    gunicorn reloads its configuration file then, and there is none. Under nohup it is ignored.
    """
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


class DeadlineSocket(socket.socket):
    """A connection on which reading a request has a deadline: then it is as if the client left.

    Otherwise few clients that send half a request each, or do not read their answers, would hold
    all threads of a service.
    """

    deadline = 0.0  # on the monotonic clock

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read what there is, waiting for it no longer than until the deadline."""
        poll = select.poll()
        poll.register(self, select.POLLIN)
        left = self.deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return b""
        found = super().recv(size, flags)
        self.deadline += len(found) / READ_RATE
        return found

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all as long as the client reads; raises ConnectionResetError if it does not."""
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        rest, deadline = memoryview(data), time.monotonic() + SEND_SECONDS
        while rest:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise ConnectionResetError(errno.ECONNRESET, "the client does not read its answer")
            sent = self.send(rest, flags | socket.MSG_DONTWAIT)
            rest = rest[sent:]
            deadline = min(deadline + sent / READ_RATE, time.monotonic() + SEND_SECONDS)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file, which is small here, like any data."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker of threads, which waits only so long for a client to send or to read."""

    def enqueue_req(self, conn: Any) -> None:
        """Handle a request of a connection in a thread."""
        if not isinstance(conn.sock, DeadlineSocket):
            conn.sock = DeadlineSocket(fileno=conn.sock.detach())
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Handle it now; the deadline begins."""
        conn.sock.deadline = time.monotonic() + READ_SECONDS
        return super().handle(conn)
