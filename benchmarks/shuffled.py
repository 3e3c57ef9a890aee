"""What goes from step to step of a pipeline: elements, encoded bytes, and the most at one place.

Measured inside Beam's in-process runner, after it has joined steps into stages: everything that
leaves a stage passes through one of the runner's buffers, in the form in which other runners send
it to workers, or keep it. The classes that are watched are Beam's own and not public.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.runners.portability.fn_api_runner.execution import (
    BundleContextManager,
    GroupingBuffer,
    ListBuffer,
    split_buffer_id,
)
from apache_beam.runners.portability.fn_api_runner.worker_handlers import StateServicer

from dfpipe.launch import parse
from dfpipe.options import settings
from dfpipe.pipeline import counters, submit
from dfpipe.warehouse import connect

GROUP, LIST, SIDE = "group", "list", "side"


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """A way between stages, named by the step that groups, gives the list or takes the input."""

    step: str
    kind: str


@dataclass(slots=True)
class Traffic:
    """What went one way; `gathered` are the most bytes on one key, or of one side input.

    Of a side input, which is a list already, no elements are counted.
    """

    elements: int = 0
    bytes: int = 0
    gathered: int = 0


class Probe:
    """Adds up the traffic of pipelines that run in this process."""

    def __init__(self) -> None:
        self.traffic: dict[Way, Traffic] = {}
        # By identity, and the buffers themselves, so that no other gets the same.
        self._buffers: dict[int, tuple[Any, Traffic]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look into all buffers meanwhile."""
        methods = (
            (BundleContextManager, "get_buffer", self._get_buffer),
            (ListBuffer, "append", self._append),
            (GroupingBuffer, "partition", self._partition),
            (StateServicer, "append_raw", self._append_raw),
        )
        patches = [mock.patch.object(*_wrapped(*method)) for method in methods]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()

    def _get_buffer(self, original: Any, manager: Any, buffer_id: bytes, *args: Any) -> Any:
        buffer = original(manager, buffer_id, *args)
        if id(buffer) not in self._buffers:
            kind, name = split_buffer_id(buffer_id)
            transforms = manager.execution_context.pipeline_components.transforms
            step = transforms[name].unique_name if kind == GROUP else _producer(transforms, name)
            self._buffers[id(buffer)] = buffer, self._of(step, GROUP if kind == GROUP else LIST)
        return buffer

    def _append(self, original: Any, buffer: Any, data: bytes) -> None:
        original(buffer, data)
        if id(buffer) not in self._buffers:
            return  # what the runner itself puts in to begin with
        _, traffic = self._buffers[id(buffer)]
        stream = create_InputStream(data)
        while stream.size() > 0:
            buffer._coder_impl.decode_from_stream(stream, True)
            traffic.elements += 1
        traffic.bytes += len(data)

    def _partition(self, original: Any, buffer: Any, n: int) -> Any:
        _, traffic = self._buffers[id(buffer)]
        for key, values in buffer._table.items():  # empty at a second look
            size = sum(len(getattr(value, "value", value)) for value in values)
            traffic.elements += len(values)
            traffic.bytes += size + len(key) * len(values)
            traffic.gathered = max(traffic.gathered, size)
        return original(buffer, n)

    def _append_raw(self, original: Any, servicer: Any, key: Any, data: bytes) -> Any:
        if key.HasField("iterable_side_input"):
            place = key.iterable_side_input
            view = place.side_input_id.removeprefix("python_side_input")
            traffic = self._of(f"{place.transform_id}[{view}]", SIDE)
            traffic.bytes += len(data)
            traffic.gathered += len(data)
        return original(servicer, key, data)

    def _of(self, step: str, kind: str) -> Traffic:
        return self.traffic.setdefault(Way(step, kind), Traffic())


def _wrapped(owner: type, name: str, watch: Any) -> tuple[type, str, Any]:
    original = getattr(owner, name)
    return owner, name, lambda *args: watch(original, *args)


def _producer(transforms: Any, collection: str) -> str:
    for transform in transforms.values():
        if collection in transform.outputs.values() and not transform.subtransforms:
            return str(transform.unique_name)
    return collection


def main() -> None:
    """Run an analysis with the options after the first argument, the file to write.

    It gets the traffic of the steps and the counters of the run.
    """
    target, *argv = sys.argv[1:]
    started, options, probe = time.time(), parse(argv, {}), Probe()
    chosen = settings(options, datetime.now(UTC))
    connect(chosen.sink).prepare()
    with probe.watching():
        counted = counters(submit(chosen, options, started))
    traffic = [
        [*asdict(way).values(), *asdict(sent).values()] for way, sent in probe.traffic.items()
    ]
    Path(target).write_bytes(orjson.dumps({"traffic": traffic, "counters": counted}))


if __name__ == "__main__":
    main()
