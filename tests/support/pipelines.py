"""Running a transform, or the whole analysis, and getting plain values back."""

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe.settings import LOCAL_RUNNER


def outputs(
    build: Callable[[beam.Pipeline], dict[str, beam.PCollection]], *options: str
) -> dict[str, list[Any]]:
    """Run what `build` wires and return the elements of each PCollection that it names.

    They go through files, as a runner may execute the steps in another process.
    """
    with TemporaryDirectory() as folder:
        with beam.Pipeline(options=_options(options)) as pipeline:
            for name, collection in build(pipeline).items():
                _ = collection | f"Keep{name}" >> beam.ParDo(_Keep(f"{folder}/{name}"))
        return {file.name: _read(file) for file in Path(folder).iterdir()}


def run_transform(transform: beam.PTransform, elements: Iterable[Any], *options: str) -> list[Any]:
    """Apply a transform to elements and return what it gives, in any order."""
    given = list(elements)
    found = outputs(lambda p: {"out": p | beam.Create(given) | transform}, *options)
    return found.get("out", [])


def _options(argv: tuple[str, ...]) -> PipelineOptions:
    chosen = any(word.startswith("--runner") for word in argv)
    return PipelineOptions([*argv, *([] if chosen else [f"--runner={LOCAL_RUNNER}"])])


def _read(file: Path) -> list[Any]:
    values = []
    with file.open("rb") as stream:
        while True:
            try:
                values.append(pickle.load(stream))
            except EOFError:
                return values


class _Keep(beam.DoFn):
    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, element: Any) -> None:
        with open(self.path, "ab") as stream:
            pickle.dump(element, stream)
