"""Connections whose deadline is for the whole answer, not for each read of it.

A handler that sends a byte from time to time would otherwise hold a request forever.
"""

import http.client
import io
import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class _TimedReader(io.RawIOBase):
    """Reads a socket until a time of the monotonic clock; then raises TimeoutError."""

    def __init__(self, sock: socket.socket, until: float | None) -> None:
        # Holds the socket open until the answer is read, although its connection may be closed.
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the deadline of the whole answer has passed")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer to be read within the timeout that its socket has when the reading begins."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        seconds = sock.gettimeout()
        until = None if seconds is None else time.monotonic() + seconds
        self.fp = io.BufferedReader(_TimedReader(sock, until))


class _HTTPConnection(HTTPConnection):
    response_class = _TimedResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def deadline_pool(connections: int) -> urllib3.PoolManager:
    """A pool in which the read timeout of a request bounds its whole answer. No retries."""
    pool = urllib3.PoolManager(maxsize=connections, retries=False)
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool
