"""The engine that this process is bound to, for stages and pages that are given none.

The engine and test mode stand above the stages that use them, so they enter themselves here when
they are imported.
"""

from collections.abc import Callable
from typing import Any

_bound: list[Any] = []
_makers: dict[str, Callable[..., Any]] = {}


def bind(engine: object) -> None:
    """Bind this process to an engine; with None, to the one of the bound task queue service."""
    _bound[:] = [engine] if engine else []


def current() -> Any:
    """The bound engine, or one on the queues that the process is bound to.

    Raises taskqueue.UsageError if there are none.
    """
    return _bound[0] if _bound else _makers["engine"]()


def enter(name: str, maker: Callable[..., object]) -> None:
    """Say what makes the `engine` of the bound queues, or runs a root in `test mode`."""
    _makers[name] = maker


def run_in_test_mode(stage: object, idempotence_key: str | bytes, base_path: str) -> None:
    """Run a workflow here and now; see workflow.testing."""
    _makers["test mode"](stage, idempotence_key, base_path)
