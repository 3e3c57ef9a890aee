"""A launcher as its processes: gunicorn, and where it is wanted the dispatcher of its queues."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from launcher.chains.records import Records
from launcher.settings import LauncherSettings
from tests.support import launcher_pages as support
from tests.support.command import environment
from tests.support.processes import free_port, process, wait_until

TOKEN = "a-token-of-the-tests"


class Service:
    """A launcher under gunicorn, and what it shows."""

    def __init__(self, settings: LauncherSettings, url: str) -> None:
        self.url = url
        self.warehouse = settings.warehouse
        self.records: Records = support.records_of(settings)

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **headers: str) -> Any:
        """The answer to a GET."""
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)
        return urllib.request.urlopen(request, timeout=60)


@contextmanager
def serving(settings: LauncherSettings, dispatches: bool = False) -> Iterator[Service]:
    """A launcher with such settings, whose pages are open on this machine."""
    port = free_port()
    found = Service(settings, f"http://127.0.0.1:{port}")
    env = environment(
        {
            "DFPIPE_STORE": settings.store,
            "DFPIPE_SINK": settings.warehouse,
            "DFPIPE_TASK_TOKEN": TOKEN,
            "DFPIPE_PAGE_ACCESS": "loopback",
            "LAUNCHER_QUEUE_YAML": settings.queue_yaml,
            "LAUNCHER_CHAINS": settings.chains_yaml,
            "LAUNCHER_JOBS_FOLDER": settings.jobs_folder,
            "LAUNCHER_POLL": "1s",
        }
    )
    quiet = ("--log-level", "ERROR")
    serve = ("-m", "launcher", "serve", "--port", str(port), "--workers", "1", *quiet)
    dispatch = ("-m", "taskqueue", "dispatch", "--store", settings.store)
    dispatch += ("--queue-yaml", settings.queue_yaml, "--target", found.url, *quiet)
    with ExitStack() as stack:
        stack.enter_context(process(*serve, env=env))
        wait_until(found.is_up, 120)
        if dispatches:
            stack.enter_context(process(*dispatch, env=env))
        yield found
