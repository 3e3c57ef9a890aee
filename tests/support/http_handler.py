"""An HTTP server in a thread of the test, which remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """One request."""

    method: str
    path: str
    headers: Any
    body: bytes


# The status for a request; the server answers when it returns.
Respond = Callable[[Request], int]


@dataclass
class Handler:
    """The server: its URL, and the requests so far."""

    respond: Respond
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@contextmanager
def serving(respond: Respond = lambda request: 200) -> Iterator[Handler]:
    """Serve on a free port until the block ends."""
    handler = Handler(respond)
    lock = threading.Lock()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Header and body go out together: no wait for an acknowledgement between them.
        wbufsize = -1

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, self.headers, body)
            with lock:
                handler.requests.append(request)
                handler.in_flight += 1
                handler.most_in_flight = max(handler.most_in_flight, handler.in_flight)
            try:
                status = handler.respond(request)
            finally:
                with lock:
                    handler.in_flight -= 1
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815  # its names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    server.block_on_close = False
    handler.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
