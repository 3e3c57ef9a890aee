"""Stages for the tests of the status page, and the service that shows them, for gunicorn."""

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask

import workflow
from dfpipe.datastore import connect
from service.auth import Guard, settings_from
from taskqueue import TaskQueueService, parse_config
from workflow.engine.engine import Engine
from workflow.web.handlers import create_blueprint

STORE = "PAGE_STORE"
YAML = """
queue:
- name: default
  rate: 500/s
"""
LINKS = {"log": "https://logs.example/1", "trap": "javascript:alert(1)"}


def make_engine(store: str) -> Engine:
    """An engine over a store, with the queue `default`."""
    return Engine(TaskQueueService(connect(store), parse_config(YAML)))


def create_app() -> Flask:
    """The service; gunicorn calls it."""
    workflow.bind(make_engine(os.environ[STORE]))
    app = Flask(__name__)
    Guard(settings_from(os.environ)).install(app)
    app.register_blueprint(create_blueprint())
    return app


class Leaf(workflow.Pipeline):
    def run(self, number: int) -> int:
        return number * number


class Fan(workflow.Pipeline):
    """Yields so many stages."""

    def run(self, number: int, **kwargs: Any) -> Iterator[Any]:
        for at in range(number):
            yield Leaf(at)


class Waits(workflow.Pipeline):
    """Goes on until it is called back."""

    async_ = True

    def run(self, may_cancel: bool) -> None:
        self.set_status("waits to be called", "https://console.example/", LINKS)

    def callback(self, **kwargs: str) -> None:
        self.complete("called")

    def try_cancel(self) -> bool:
        return bool(self.args[0])


class Later(workflow.Pipeline):
    """A stage that waits for another's output."""

    def run(self) -> Iterator[Any]:
        word = yield Waits(True)
        yield Leaf(word)


class Fails(workflow.Pipeline):
    def run(self, reason: str) -> None:
        raise ValueError(reason)


class Inner(workflow.Pipeline):
    """Yields so many stages, of which one fails for good."""

    def run(self, number: int, bad: int) -> Iterator[Any]:
        for at in range(number):
            if at == bad:
                yield Fails(f"number {at} is bad").with_params(max_attempts=1)
            else:
                yield Leaf(at)


class Outer(workflow.Pipeline):
    def run(self, number: int, bad: int) -> Iterator[Any]:
        yield Leaf(1)
        yield Inner(number, bad)


class Hidden(workflow.Pipeline):
    admin_callbacks = True

    def run(self, **kwargs: str) -> str:
        return "shown"

    def callback(self, name: str = "nobody") -> tuple[int, str, str]:
        return 200, "text/plain", f"called by {name}"


class Open(Hidden):
    admin_callbacks = False
    public_callbacks = True


class Breaks(Open):
    def callback(self, name: str = "nobody") -> tuple[int, str, str]:
        raise RuntimeError("the callback breaks")
