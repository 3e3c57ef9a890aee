"""A gate before a server: it lets a number of bytes through, and then none until it is opened."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 65_536


class Gate:
    """Passes TCP connections on to a server, and holds them all once `limit` bytes have come back.

    A process that reads through it is for certain in the middle of its work while it is held.
    """

    def __init__(self, server: str, limit: int) -> None:
        host, _, port = server.rpartition(":")
        self.server = (host, int(port))
        self.left = limit
        self.lock = threading.Lock()
        self.held = threading.Event()
        self.opened = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.ends: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.open()
        for end in (self.listener, *self.ends):
            _close(end)

    def open(self) -> None:
        """Let all through from now on."""
        self.opened.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
            except OSError:
                return
            self.ends += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if counted:
                    self._count(len(piece))
                target.sendall(piece)
        _close(source)
        _close(target)

    def _count(self, number: int) -> None:
        with self.lock:
            self.left -= number
            if self.left > 0:
                return
        self.held.set()
        self.opened.wait()


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
