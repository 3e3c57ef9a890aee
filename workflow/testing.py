"""Test mode: a whole workflow in one call, without a store, a queue and a clock.

Stages run where they are yielded, one after another, so an order that only After and InOrder give
is kept by itself. Errors of stages reach the caller.
"""

import inspect
from datetime import UTC, datetime
from typing import Any

from workflow import binding, values
from workflow.arguments import argument_of
from workflow.engine.evaluating import ArgumentsError, Evaluation, check_yielded, fill_default
from workflow.engine.starting import root_id
from workflow.errors import SlotNotFilledError, UnexpectedPipelineError
from workflow.ordering import evaluation
from workflow.pipeline import Pipeline, fills_of, inside, record_of
from workflow.records import DONE, Record, child_id
from workflow.slots import (
    DEFAULT,
    PipelineFuture,
    fill,
    is_strict,
    make_strict,
    not_inherited,
    offer,
    outputs_of,
    own,
    pass_on,
    undeclared,
    unused,
)


def run_root(stage: Pipeline, idempotence_key: str | bytes, base_path: str) -> None:
    """Run a workflow to its end; see Pipeline.start_test."""
    name = root_id(idempotence_key)
    make_strict(stage.outputs)
    _prepare(stage, name, name, "")
    stage.base_path = base_path
    _run(stage)
    _finalize(stage)


def _prepare(stage: Pipeline, name: str, root: str, parent: str) -> None:
    if stage.pipeline_id is not None:
        raise UnexpectedPipelineError(f"{stage!r} was started before: make a new one")
    stage.test_mode = True
    inside(stage).is_scheduled = True
    path = stage.class_path
    record = Record(id=name, root=root, parent=parent, class_path=path, params_json="")
    inside(stage).record, inside(stage).fills = record, {}
    own(stage.outputs, name)
    stage.args = [_value(given) for given in stage.args]
    stage.kwargs = {key: _value(given) for key, given in stage.kwargs.items()}


def _value(given: Any) -> Any:
    slot = given.default if isinstance(given, PipelineFuture) else given
    try:
        argument = argument_of(given)
        if argument["type"] == "value":
            return argument["value"]
        return values.loads(values.dumps(slot.value))
    except (TypeError, ValueError) as error:
        raise ArgumentsError(f"Bad child arguments. {type(error).__name__}: {error}") from error


def _run(stage: Pipeline) -> None:
    run = getattr(stage, "run_test", None) or stage.run
    with evaluation(is_test=True):
        result = run(*stage.args, **stage.kwargs)
        if inspect.isgenerator(result):
            last, result = _yields(stage, result)
            if last is not None:
                _inherit(stage, last)
                return
    if not stage.is_async():
        fill_default(stage, result)
    _store(stage)
    for slot in stage.outputs:
        if not slot.filled:
            raise SlotNotFilledError(f"{stage!r} has to fill the output {slot.name}")


def _store(stage: Pipeline) -> None:
    for name, text in fills_of(stage).items():
        slot = getattr(stage.outputs, name)
        fill(slot, values.loads(text), stage.pipeline_id, datetime.now(UTC))
    if not is_strict(stage.outputs):
        offer(stage.outputs, set(fills_of(stage)) - {DEFAULT})


def _yields(stage: Pipeline, generator: Evaluation) -> tuple[Pipeline | None, Any]:
    """Run the stages that a generator yields; returns the last, and what it returns itself."""
    children: list[Pipeline] = []
    while True:
        try:
            given = generator.send(children[-1].outputs if children else None)
        except StopIteration as end:
            return _last(stage, children, end.value), end.value
        child = check_yielded(stage, given)
        name = child_id(record_of(stage).id, 0, len(children))
        _prepare(child, name, record_of(stage).root, record_of(stage).id)
        _run(child)
        _finalize(child)
        children.append(child)


def _last(stage: Pipeline, children: list[Pipeline], result: object) -> Pipeline | None:
    """The stage yielded last; refuses outputs of the others that nobody has asked for."""
    if children and result is not None:
        raise UnexpectedPipelineError(f"{stage!r} yields stages and returns a value")
    for child in children[:-1]:
        _refuse_offered(child)
    return children[-1] if children else None


def _refuse_offered(stage: Pipeline) -> None:
    for name in unused(stage.outputs):
        raise undeclared(name, repr(stage))


def _inherit(stage: Pipeline, last: Pipeline) -> None:
    """Take the outputs that a generator leaves open from the stage that it yielded last."""
    _store(stage)
    for slot in stage.outputs:
        if slot.filled:
            continue
        known = outputs_of(last.outputs)
        given = (
            known.get(slot.name) if is_strict(last.outputs) else getattr(last.outputs, slot.name)
        )
        if given is None:
            raise not_inherited(type(last).__name__, slot.name)
        if not given.filled:
            raise SlotNotFilledError(f"{last!r} has to fill the output {slot.name}")
        fill(slot, given.value, given.filler, given.fill_datetime)
    if not is_strict(stage.outputs):
        # Which of them the stages above use is not known yet.
        pass_on(last.outputs, stage.outputs)
    _refuse_offered(last)


def _finalize(stage: Pipeline) -> None:
    finalized = getattr(stage, "finalized_test", None) or stage.finalized
    with evaluation(is_test=True):
        finalized()
    record_of(stage).status = DONE
    record_of(stage).finalized = 0


binding.enter("test mode", run_root)
