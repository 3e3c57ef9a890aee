"""`After` and `InOrder`: an order of stages where data does not give one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from workflow.errors import UnexpectedPipelineError
from workflow.slots import PipelineFuture


class _Blocks(threading.local):
    """The blocks that the stage which this thread evaluates has entered."""

    def __init__(self) -> None:
        self.after: list[tuple[PipelineFuture, ...]] = []
        self.in_order: list[PipelineFuture] | None = None
        self.is_test = False


_blocks = _Blocks()


@contextmanager
def evaluation(*, is_test: bool = False) -> Iterator[None]:
    """A stage of its own: the blocks of others do not count in it."""
    before = _blocks.after, _blocks.in_order, _blocks.is_test
    _blocks.after, _blocks.in_order, _blocks.is_test = [], None, is_test
    try:
        yield
    finally:
        _blocks.after, _blocks.in_order, _blocks.is_test = before


def in_test_mode() -> bool:
    """Whether this thread evaluates a stage in test mode."""
    return _blocks.is_test


def awaited() -> list[PipelineFuture]:
    """What a stage that is yielded now has to wait for."""
    after = [future for futures in _blocks.after for future in futures]
    return after + (_blocks.in_order or [])


def yielded(future: PipelineFuture) -> None:
    """Let the next stages of an InOrder block wait for this one."""
    if _blocks.in_order is not None:
        # The earlier ones are done before this one begins.
        _blocks.in_order = [future]


class After:
    """Stages that are yielded in the block begin after the default outputs of others are there."""

    def __init__(self, *futures: PipelineFuture) -> None:
        for future in futures:
            if not isinstance(future, PipelineFuture):
                raise TypeError(f"After takes what a yield gave, a PipelineFuture, not {future!r}")
        self._futures = futures

    def __enter__(self) -> Self:
        _blocks.after.append(self._futures)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if _blocks.after:
            _blocks.after.pop()


class InOrder:
    """Stages that are yielded in the block begin one after another."""

    def __enter__(self) -> Self:
        if _blocks.in_order is not None and not _blocks.is_test:
            raise UnexpectedPipelineError("an InOrder block cannot stand in another one")
        _blocks.in_order = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _blocks.in_order = None
