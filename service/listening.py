"""What the `serve` commands of all services share: their options, login links and gunicorn."""

import functools
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from service.auth import AuthSettings
from service.logging import configure_logging
from service.options import LOG_LEVEL, Command

if TYPE_CHECKING:
    from flask import Flask

TIMEOUT = 30  # seconds, where no option says otherwise: gunicorn's own
LONG_TIMEOUT = 600
# Seconds that a connection waits for its next request. gunicorn's default of 2 is the time between
# two polls of a local job: the request would meet a connection that is being closed.
KEEP_ALIVE = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a service listens, and with how many processes and threads."""

    host: str
    port: int
    workers: int
    threads: int
    log_level: str
    timeout_secs: int = TIMEOUT
    keep_alive_secs: int = KEEP_ALIVE


def listening_options(
    *, port: int = 8080, workers: int = 2, timeout: bool = False
) -> Callable[[Command], Command]:
    """Give a command the options of a service, which it takes together as `listening`.

    `timeout` adds --timeout-secs.
    """
    options = [
        click.option("--host", default="127.0.0.1", show_default=True),
        click.option("--port", type=click.IntRange(0, 65535), default=port, show_default=True),
        click.option("--workers", type=click.IntRange(1), default=workers, show_default=True),
        click.option("--threads", type=click.IntRange(1), default=8, show_default=True),
        *[_TIMEOUT_OPTION] * timeout,
        _KEEP_ALIVE_OPTION,
        LOG_LEVEL,
    ]
    names = Listening.__dataclass_fields__

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def called(**kwargs: Any) -> Any:
            given = {name: kwargs.pop(name) for name in names if name in kwargs}
            return command(listening=Listening(**given), **kwargs)

        for option in reversed(options):
            called = option(called)
        return called

    return decorate


_TIMEOUT_OPTION = click.option(
    "--timeout-secs",
    type=click.IntRange(1),
    default=LONG_TIMEOUT,
    show_default=True,
    help="Replace a worker process that does not answer for this long.",
)


def with_login(auth: AuthSettings, listening: Listening, prefix: str = "/pages") -> AuthSettings:
    """Let the person at the terminal log in: print a link that works once, if there is a login.

    Without a token a new one is made for this process, so that a service on a laptop needs none.
    Nothing is printed where the output is not a terminal, or other machines can reach the service:
    logs are read by others.
    """
    is_here = sys.stdout.isatty() and listening.host in ("127.0.0.1", "::1", "localhost")
    if not is_here or auth.page_access not in ("", "token") or auth.iap_audience:
        return auth
    auth = replace(auth, token=auth.token or secrets.token_urlsafe())
    # Late, so that commands can show their help without the library that seals sessions.
    from service.sessions import login_link

    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    link = login_link(f"http://{host}:{listening.port}{prefix}", auth.token or "", time.time())
    click.echo(f"Log in once at {link}")
    return auth


_KEEP_ALIVE_OPTION = click.option(
    "--keep-alive-secs",
    type=click.IntRange(1, 3600),
    default=KEEP_ALIVE,
    show_default=True,
    help="How long an idle connection is kept. Google's load balancer needs more than 600.",
)


def run_gunicorn(make_app: Callable[[], "Flask"], name: str, listening: Listening) -> None:
    """Serve an application under gunicorn until SIGTERM; each worker process makes its own."""
    from service.gunicorn_server import Server

    configure_logging(listening.log_level)
    Server(
        make_app,
        bind=f"{listening.host}:{listening.port}",
        workers=listening.workers,
        threads=listening.threads,
        worker_class="service.gunicorn_server.DeadlineWorker",
        timeout=listening.timeout_secs,
        keepalive=listening.keep_alive_secs,
        proc_name=name,
        loglevel=listening.log_level.lower(),
        control_socket_disable=True,
        logconfig_dict=_logs(listening.log_level),
    ).run()


def _logs(level: str) -> dict[str, Any]:
    """The logging of gunicorn: everything as our own lines, on standard error."""
    return {
        "root": {"level": level, "handlers": ["error_console"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": [], "propagate": True}},
        "formatters": {"generic": {"()": "service.logging.JsonFormatter"}},
    }
