"""Running a generator: the stages that it yields, and what they wait for."""

from collections.abc import Generator
from typing import Any

from workflow import values
from workflow.arguments import params_of
from workflow.engine.lifecycle import Child
from workflow.errors import SlotNotFilledError, UnexpectedPipelineError
from workflow.ordering import awaited, evaluation, yielded
from workflow.pipeline import Pipeline, fills_of, inside, record_of
from workflow.records import Params, child_id
from workflow.slots import DEFAULT, PipelineFuture, inherit, own

Evaluation = Generator[Any, Any, Any]


class ArgumentsError(TypeError):
    """A stage was yielded with arguments that cannot be stored."""


class ReturnValueError(TypeError):
    """A stage has returned a value that cannot be stored."""


def evaluate(stage: Pipeline, generator: Evaluation) -> tuple[list[Child], Any]:
    """The stages that a generator yields, and what it returns.

    Raises what the generator raises, and UnexpectedPipelineError or ArgumentsError for what it may
    not yield.
    """
    yields: list[tuple[Pipeline, Params]] = []
    with evaluation():
        try:
            result = _collect(stage, generator, yields)
        finally:
            generator.close()
    if yields:
        if result is not None:
            raise UnexpectedPipelineError(
                f"{stage!r} yields stages and returns a value: its outputs are the last stage's"
            )
        slots = record_of(stage).params.output_slots
        left = {name: key for name, key in slots.items() if name not in fills_of(stage)}
        last, _ = yields[-1]
        inherit(last.outputs, type(last).__name__, left)
    for child, params in yields:
        params.output_slots = {slot.name: str(slot.key) for slot in child.outputs}
    return [Child(child.class_path, params) for child, params in yields], result


def _collect(stage: Pipeline, generator: Evaluation, yields: list[tuple[Pipeline, Params]]) -> Any:
    future: PipelineFuture | None = None
    while True:
        try:
            child = generator.send(future)
        except StopIteration as end:
            return end.value
        future = _adopt(stage, child, len(yields), yields)


def _adopt(
    stage: Pipeline, given: object, number: int, yields: list[tuple[Pipeline, Params]]
) -> PipelineFuture:
    child = check_yielded(stage, given)
    record = record_of(stage)
    inside(child).is_scheduled = True
    child.queue_name, child.base_path = stage.queue_name, stage.base_path
    child.task_retry = child.task_retry or stage.task_retry
    child.target = child.target or stage.target
    after = list(dict.fromkeys(_key_of(future) for future in awaited()))
    try:
        params = params_of(child, after)
    except (TypeError, ValueError) as error:
        raise ArgumentsError(f"Bad child arguments. {type(error).__name__}: {error}") from error
    own(child.outputs, child_id(record.stem, record.attempt, number))
    yielded(child.outputs)
    yields.append((child, params))
    return child.outputs


def _key_of(future: PipelineFuture) -> str:
    key = future.default.key
    if key is None:
        raise UnexpectedPipelineError("After takes futures of stages that were yielded before")
    return key


def check_yielded(stage: Pipeline, child: object) -> Pipeline:
    """The stage that was yielded; refuses anything else, and a stage that was used before."""
    if not isinstance(child, Pipeline):
        raise UnexpectedPipelineError(
            f"{stage!r} yielded {child!r}, which is not a stage: yield instances of Pipeline"
        )
    if inside(child).is_scheduled or child.pipeline_id is not None:
        raise UnexpectedPipelineError(f"{stage!r} yielded {child!r} twice: make a new instance")
    return child


def fill_default(stage: Pipeline, result: object) -> None:
    """Fill the default output with what `run` has returned, unless it was filled and that is None.

    Raises ReturnValueError.
    """
    fills = fills_of(stage)
    if result is None and DEFAULT in fills:
        return
    try:
        fills[DEFAULT] = values.dumps(result)
    except (TypeError, ValueError) as error:
        raise ReturnValueError(f"Bad return value. {type(error).__name__}: {error}") from error


def check_filled(stage: Pipeline, names: dict[str, Any]) -> None:
    """Refuse that a stage which has ended leaves an output open."""
    missing = [name for name in names if name not in fills_of(stage) and name != DEFAULT]
    if missing:
        raise SlotNotFilledError(f"{stage!r} has to fill the outputs {', '.join(missing)}")
