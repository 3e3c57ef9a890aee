"""The steps of a graph that gather: all elements of a key, or of a side input, in one place."""

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from benchmarks.shuffled import GROUP, SIDE, Probe

GROUP_BY_KEY = common_urns.primitives.GROUP_BY_KEY.urn
PAR_DO = common_urns.primitives.PAR_DO.urn


def gathering_steps(pipeline: beam.Pipeline) -> set[str]:
    """Name each GroupByKey, also those within a combine; each side input; each keyed state."""
    transforms = pipeline.to_runner_api().components.transforms.values()
    return {name for transform in transforms for name in _gathered_by(transform)}


def _gathered_by(transform: beam_runner_api_pb2.PTransform) -> Iterator[str]:
    if transform.spec.urn == GROUP_BY_KEY:
        yield _of_group(transform.unique_name)
    elif transform.spec.urn == PAR_DO:
        step = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
        for i in range(len(step.side_inputs)):
            yield f"{transform.unique_name}[{i}]"
        if step.state_specs or step.timer_family_specs:
            yield f"{transform.unique_name}(state)"


def _of_group(name: str) -> str:
    """Name a step alike, whether or not the runner has split its combine in two."""
    return name.removesuffix("/GroupByKey").removesuffix("/Group")


def gathered(probe: Probe) -> dict[str, int]:
    """Return for each such step the most bytes that a key, or the side input, has got."""
    return {
        _of_group(way.step) if way.kind == GROUP else way.step: traffic.gathered
        for way, traffic in probe.traffic.items()
        if way.kind in (GROUP, SIDE)
    }


def grown(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Name the steps that gather clearly more than before: numbers may be longer, no more."""
    return {step for step, size in after.items() if size > 1.25 * before.get(step, 0) + 100}
