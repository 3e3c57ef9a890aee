"""The APIs of X, Bluesky and Mastodon on one loopback port, with limits and faults on demand."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.network_shapes import Json, bluesky_post, rfc3339, status, x_page
from tests.support.networks import Item, World, milliseconds

TOKEN = "token-of-the-networks"
FAR = 4_102_444_800  # when the sessions of Bluesky end: 2100


@dataclass
class Window:
    """A rate limit: so many requests in each stretch of so many seconds."""

    limit: int
    seconds: int
    begun: int = 0
    used: int = 0
    # After an answer that said so, one more request in the same window is one too many.
    is_told_empty: bool = False
    is_drained: bool = False

    def roll(self, now: datetime) -> None:
        begun = int(now.timestamp()) // self.seconds * self.seconds
        if begun != self.begun:
            self.begun, self.used = begun, 0
            self.is_told_empty = self.is_drained = False

    @property
    def resets_at(self) -> int:
        return self.begun + self.seconds


@dataclass
class Answer:
    """What is sent back."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


# What goes wrong with a request: a status, an answer, or "broken", "cut", "garbage" or "hang".
Fault = int | str | Answer | None


class Networks:
    """The servers. `page` is the most that one answer holds, whatever is asked for.

    `fault` is asked before each request; `windows` are the limits by bucket, none without.
    """

    def __init__(self, world: World, clock: Callable[[], datetime]) -> None:
        self.world = world
        self.clock = clock
        self.url = ""
        self.page = 100
        self.windows: dict[str, Window] = {}
        self.fault: Callable[[str], Fault] = lambda path: None
        self.canned: dict[str, Any] = {}  # answers to be given as they are, by path
        self.requests: list[str] = []
        self.over_the_limit: list[str] = []
        self.logins = 0
        self.lock = threading.Lock()
        self.released = threading.Event()

    def answer(self, path: str, query: dict[str, str], token: str) -> Answer:
        """Answer a request that no fault has hit."""
        with self.lock:
            self.requests.append(path)
            bucket = bucket_of(path)
            headers, is_over = self._count(bucket)
            if is_over:
                return Answer(429, {"error": "Too Many Requests"}, headers)
            if path in self.canned:
                answer = Answer(200, self.canned[path])
            elif path.startswith("/2/"):
                answer = self._x(path, query, token)
            elif path.startswith("/xrpc/"):
                answer = self._bluesky(path, query, token)
            else:
                answer = self._mastodon(path, query, token)
            answer.headers |= headers
            return answer

    def _count(self, bucket: str) -> tuple[dict[str, str], bool]:
        window = self.windows.get(bucket)
        if window is None:
            return {}, False
        window.roll(self.clock())
        is_over = window.used >= window.limit
        if is_over and window.is_told_empty:
            self.over_the_limit.append(bucket)
        window.used += 1
        left = max(0, window.limit - window.used)
        window.is_told_empty = left == 0
        return _limit_headers(bucket, window, left), is_over

    def drain(self, bucket: str) -> None:
        """Another program uses up the limit."""
        with self.lock:
            window = self.windows[bucket]
            window.roll(self.clock())
            window.used = max(window.used, window.limit)
            window.is_drained = True

    def forget_telling(self) -> None:
        """Who was told that another program used up a limit is dead: nobody knows it."""
        with self.lock:
            for window in self.windows.values():
                window.is_told_empty &= not window.is_drained

    # X

    def _x(self, path: str, query: dict[str, str], token: str) -> Answer:
        if token != TOKEN:
            return Answer(401, {"title": "Unauthorized", "status": 401, "detail": "Unauthorized"})
        parts = path.split("/")
        if path.endswith("/me"):
            return Answer(200, {"data": {"id": "1", "name": "Me", "username": "me"}})
        if "/by/username/" in path:
            return self._x_lookup(parts[-1])
        user = self.world.users.get(parts[3], "")
        name = "home" if "/timelines/" in path else f"@{user}"
        if "@" in name and not user:
            return Answer(404, {"title": "Not Found Error"})
        now = self.clock()
        since, token_text = int(query.get("since_id", "0")), query.get("pagination_token")
        until = int(token_text.removeprefix("p")) if token_text else 2**63
        seen = self.world.seen("x", name, now)
        found = [item for item in seen if since < item.number < until]
        some = found[: self._most(query.get("max_results"))]
        more = f"p{some[-1].number}" if len(found) > len(some) else None
        return Answer(200, x_page(self.world, some, now, more))

    def _x_lookup(self, name: str) -> Answer:
        known = {user.lower(): number for number, user in self.world.users.items()}
        if name in known:
            return Answer(200, {"data": {"id": known[name], "name": name, "username": name}})
        detail = f"Could not find user with username: [{name}]."
        error = {"detail": detail, "resource_type": "user", "title": "Not Found Error"}
        return Answer(200, {"errors": [error]})

    # Bluesky

    def _bluesky(self, path: str, query: dict[str, str], token: str) -> Answer:
        method = path.rpartition(".")[2]
        if method == "createSession":
            return self._login()
        if method == "getTimeline" and not token.endswith(".signed00"):
            return Answer(401, {"error": "AuthMissing", "message": "Authentication Required"})
        name = {"getTimeline": "timeline"}.get(method, "")
        name = name or query.get("actor", "")
        name = name or f"list/{query['list']}" if "list" in query else name
        name = f"search/{query['q']}" if "q" in query else name
        if ("bluesky", name) not in self.world.timelines:
            return Answer(400, {"error": "InvalidRequest", "message": "Profile not found"})
        now = self.clock()
        seen = self.world.seen("bluesky", name, now)
        seen = [item for item in seen if self._is_within(item, query)]
        found, cursor = self._after_cursor(seen, query, method)
        key = "posts" if method == "searchPosts" else "feed"
        views = [bluesky_post(item, now) for item in found]
        body: Json = {key: views if key == "posts" else [{"post": view} for view in views]}
        if cursor:
            body["cursor"] = cursor
        return Answer(200, body)

    def _login(self) -> Answer:
        self.logins += 1
        claims = json.dumps({"exp": FAR, "sub": "did:plc:me"}).encode()
        head, claim = (base64.urlsafe_b64encode(x).decode().rstrip("=") for x in (b"{}", claims))
        token = f"{head}.{claim}.signed00"
        ids = {"did": "did:plc:me", "handle": "me.test", "active": True}
        return Answer(200, {"accessJwt": token, "refreshJwt": token, **ids})

    @staticmethod
    def _is_within(item: Item, query: dict[str, str]) -> bool:
        time = rfc3339(item.created)
        return query.get("since", "") <= time and time < query.get("until", "9")

    def _after_cursor(
        self, seen: list[Item], query: dict[str, str], method: str
    ) -> tuple[list[Item], str | None]:
        """A feed's cursor is a place in time, a search's a number of posts to pass over."""
        given, most = query.get("cursor"), self._most(query.get("limit"))
        if method == "searchPosts":
            start = int(given or 0)
            some = seen[start : start + most]
            return some, str(start + most) if len(seen) > start + most else None
        if given:
            millis, _, key = given.partition("::")
            place = int(millis), key
            seen = [item for item in seen if (milliseconds(item.created), item.key) < place]
        some = seen[:most]
        last = some[-1] if len(seen) > len(some) else None
        return some, f"{milliseconds(last.created)}::{last.key}" if last else None

    # Mastodon

    def _mastodon(self, path: str, query: dict[str, str], token: str) -> Answer:
        if path.startswith("/api/v2/instance"):
            return Answer(200, {"domain": "social.test", "version": "4.4.0", "title": "Test"})
        if path.endswith("/lookup"):
            user = query["acct"]
            if user not in self.world.users.values():
                return Answer(404, {"error": "Record not found"})
            return Answer(200, {"id": self.world.user_id(user), "acct": user, "username": user})
        parts = path.split("/")
        if "/accounts/" in path:
            name = self.world.users.get(parts[4], "")
        else:
            name = f"#{parts[5]}" if parts[4] == "tag" else parts[4]
        if name == "home" and token != TOKEN:
            return Answer(401, {"error": "The access token is invalid"})
        now = self.clock()
        least = int(query.get("min_id", "0"))
        found = [i for i in self.world.seen("mastodon", name, now) if i.number > least]
        most = self._most(query.get("limit"))
        some = found[-most:] if most else []
        return Answer(200, [status(self.world, item, now) for item in some])

    def _most(self, asked: str | None) -> int:
        return min(self.page, int(asked or self.page))


def bucket_of(path: str) -> str:
    """The limit that a request counts against."""
    if path.startswith("/xrpc/"):
        return "bluesky/session" if ".server." in path else "bluesky"
    if path.startswith("/api/"):
        return "mastodon"
    parts = {"/timelines/": "x/home", "/by/username/": "x/lookup", "/tweets": "x/user"}
    return next((bucket for part, bucket in parts.items() if part in path), "x/me")


def _limit_headers(bucket: str, window: Window, left: int) -> dict[str, str]:
    network = bucket.partition("/")[0]
    prefix = {"x": "x-rate-limit", "mastodon": "X-RateLimit", "bluesky": "RateLimit"}[network]
    reset = str(window.resets_at)
    if network == "mastodon":
        reset = rfc3339(datetime.fromtimestamp(window.resets_at, UTC), "microseconds")
    values = {"Limit": str(window.limit), "Remaining": str(left), "Reset": reset}
    return {f"{prefix}-{name}": value for name, value in values.items()}


class _Handler(BaseHTTPRequestHandler):
    """One request; `networks` is set by `serving_networks`."""

    networks: Networks
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        fault = self.networks.fault(url.path)
        if fault == "hang":
            self.networks.released.wait(120)
        if fault in ("hang", "broken"):
            self.close_connection = True
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if isinstance(fault, Answer):
            found = fault
        elif isinstance(fault, int):
            found = Answer(fault, {"error": "Fault", "message": "a fault", "title": "Fault"})
        else:
            found = self.networks.answer(url.path, query, token)
        self.send(found, fault)

    def send(self, found: Answer, fault: Fault) -> None:
        body = json.dumps(found.body).encode()
        if fault == "garbage":
            body = b"<html>it is broken</html>"
        self.send_response(found.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815  # its names

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.networks.clock(), usegmt=True)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextmanager
def serving_networks(
    world: World, clock: Callable[[], datetime], port: int = 0
) -> Iterator[Networks]:
    """Serve on a free port until the block ends."""
    networks = Networks(world, clock)
    handler = type("Handler", (_Handler,), {"networks": networks})
    server = _Server(("127.0.0.1", port), handler)
    networks.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield networks
    finally:
        networks.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def window(limit: int, minutes: float) -> Window:
    """A rate limit of so many requests in so many minutes."""
    return Window(limit, int(timedelta(minutes=minutes).total_seconds()))
