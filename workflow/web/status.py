"""The status of workflows: the tree of one, and the list of all, as JSON values."""

from itertools import pairwise

from google.api_core.exceptions import InvalidArgument

from dfpipe.datastore import count
from workflow import registry
from workflow.engine import model
from workflow.engine.engine import current
from workflow.errors import PipelineStatusError
from workflow.records import STATES, Record, is_id
from workflow.web.describing import Tree
from workflow.web.reader import MOST_ARGUMENTS, Reader

MOST_ROOTS = 500  # in one list
MOST_CHILDREN = 500  # in one page of a stage's
MOST_STAGES = 100  # asked for by their ids


def get_pipeline_names() -> list[str]:
    """The paths of the classes of stages that this process has, in order."""
    return registry.names()


def get_root_list(
    class_path: str | None = None,
    cursor: str | None = None,
    count: int = 50,
    state: str | None = None,
) -> Tree:
    """The workflows, the newest first: {"pipelines": [...], "cursor": ...}.

    There is a cursor only if there are more workflows; give it for the next list. Each pipeline is
    as in `get_status_tree`, with its `pipelineId`, and no more than 100 of its arguments and
    children. `state`, one of STATES, lists the workflows in that state and takes no class with it.
    Raises PipelineStatusError for a cursor of another list, an unknown state, and a count that is
    not 1 to 500.
    """
    if state is not None:
        _check_state(state)
        if class_path:
            raise PipelineStatusError("both a class and a state are given: give one of them")
    if not 1 <= count <= MOST_ROOTS:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_ROOTS}")
    order = "listed_state" if state else "listed_class" if class_path else "listed"
    return Reader(current()).roots(order, state or class_path, cursor, count)


def get_root_counts() -> dict[str, int]:
    """How many workflows are in each state, without the states that none is in.

    Workflows that ended under a version that did not store this are not counted.
    """
    reader = Reader(current())
    counts = {state: count(reader.client, reader.listed("listed_state", state)) for state in STATES}
    return {state: number for state, number in counts.items() if number}


def get_status_tree(root_pipeline_id: str) -> Tree:
    """A workflow with all its stages and slots; the id may be that of any of them.

    The root of an aborted workflow has as `failure` the stage that was the reason: its pipelineId,
    classPath and message. Raises UnknownPipelineError for an unknown id.
    """
    reader = Reader(current())
    root = reader.root_of(reader.record(root_pipeline_id))
    records = {root.id: root}
    wave = [root]
    while wave:
        wave = reader.records([name for record in wave for name in record.child_ids()])
        records.update({record.id: record for record in wave})
    return reader.tree(root, records)


def get_stage(pipeline_id: str, first: int = 0, count: int = 100) -> Tree:
    """One stage with a page of its children, however large the workflow is.

    `pipelines` has the stage, as in get_status_tree but with no more than 100 arguments and with
    the ids of these children alone, and these children in short: see get_stages. `ancestors` are
    the 20 nearest stages above it, the topmost first, in short, with `pipelineId`. `places` says
    which of its parent's children each of these ancestors and the stage itself is, from 0.
    """
    if not 0 <= count <= MOST_CHILDREN:
        raise PipelineStatusError(f"the count is {count}: give 0 to {MOST_CHILDREN}")
    reader = Reader(current())
    record = reader.record(pipeline_id)
    root = reader.root_of(record)
    ids = record.child_ids(first, first + count)
    tree = reader.tree(root, {record.id: record}, MOST_ARGUMENTS)
    tree["pipelines"][record.id]["children"] = ids
    tree["pipelines"].update(reader.briefs(root, reader.records(ids)))
    ancestors = reader.ancestors(record)
    briefs = reader.briefs(root, ancestors)
    tree["ancestors"] = [{"pipelineId": each.id, **briefs[each.id]} for each in ancestors]
    tree["places"] = places([*ancestors, record])
    return tree


def places(line: list[Record]) -> dict[str, int]:
    """Which child of the one before it each stage of a line of descent is, from 0."""
    found = {}
    for parent, child in pairwise(line):
        siblings = parent.child_ids()
        if child.id in siblings:  # it may be of an earlier attempt
            found[child.id] = siblings.index(child.id)
    return found


def get_stages(pipeline_ids: list[str]) -> Tree:
    """Stages of one workflow in short: {"pipelines": {id: ...}}.

    That is without arguments, outputs and the ids of children. Stages that are not stored yet, or
    not any more, are left out.
    """
    if len(pipeline_ids) > MOST_STAGES:
        raise PipelineStatusError(f"{len(pipeline_ids)} stages: ask for {MOST_STAGES} at a time")
    reader = Reader(current())
    records = reader.records([name for name in pipeline_ids if is_id(name)])
    root = reader.root_of(records[0]) if records else None
    return {"pipelines": reader.briefs(root, records)}


def get_counts(root_pipeline_id: str) -> Tree:
    """How many stages of a workflow are in each state: {"counts": {"done": 3, ...}}.

    States that no stage is in are left out; `finalizing` counts as `run`. The id may be that of any
    stage. Raises UnknownPipelineError.
    """
    reader = Reader(current())
    root = reader.record(root_pipeline_id).root
    counts = {state: count(reader.client, reader.in_state(root, state)) for state in STATES}
    return {"counts": {state: number for state, number in counts.items() if number}}


def get_stages_in(
    root_pipeline_id: str, state: str, cursor: str | None = None, count: int = 50
) -> Tree:
    """The stages of a workflow that are in a state, in no order: {"pipelines": {id: ...}}.

    They are in short, as in get_stages; `cursor` is there if there may be more.
    """
    _check_state(state)
    if not 1 <= count <= MOST_STAGES:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_STAGES}")
    reader = Reader(current())
    root = reader.root_of(reader.record(root_pipeline_id))
    start = cursor.encode() if cursor else None
    try:
        found = reader.in_state(root.id, state).fetch(limit=count, start_cursor=start)
        records = [model.pipeline_of(entity) for entity in found]
    except (InvalidArgument, ValueError) as error:  # as the two clients say it
        raise PipelineStatusError("no such cursor: leave it out to begin") from error
    answer: Tree = {"pipelines": reader.briefs(root, records)}
    token = found.next_page_token
    if token and len(records) == count:
        answer["cursor"] = token.decode() if isinstance(token, bytes) else token
    return answer


def _check_state(state: str) -> None:
    if state not in STATES:
        raise PipelineStatusError(f"the state is {state!r}: give {', '.join(STATES)}")
