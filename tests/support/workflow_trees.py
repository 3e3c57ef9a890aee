"""Random workflows: trees of stages as values, the stages that they stand for, and their results.

A tree is a dictionary: `kind` is sync, async or generator; `number` goes into the result; `fails`
is how many attempts raise; `dies`, which may be left out, is how many calls of `run` end their
process; `spare` is how many attempts there are beyond those needed; `named` says whether it has the
outputs `left` and `right` besides. A generator has `children`, each with `takes`, the outputs that
it is given: [sibling, output], or [-1, place] for an argument of the generator itself; with
`after`, siblings, and `in_order`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

from hypothesis import strategies as st

import taskqueue
import workflow
from tests.support.workflow_faults import PROCESS
from workflow.pipeline import record_of

NAMES = ["left", "right"]
PRIME = 1_000_003

Tree = dict[str, Any]
Outputs = dict[str, int]


def value_of(tree: Tree, inputs: list[int]) -> int:
    """What a stage that yields nothing gives."""
    total = tree["number"]
    for place, number in enumerate(inputs, 2):
        total = (total * 31 + place * number) % PRIME
    return int(total)


def evaluate(tree: Tree, inputs: list[int]) -> Outputs:
    """The outputs of a tree, by plain evaluation."""
    own = value_of(tree, inputs)
    if tree["kind"] != "generator":
        return {"default": own, "left": own + 1, "right": own + 2}
    done: list[Outputs] = []
    for child in tree["children"]:
        taken = [inputs[what] if at == -1 else done[at][what] for at, what in child["takes"]]
        done.append(evaluate(child["tree"], taken))
    outputs = dict(done[-1])
    if tree["fills_left"]:
        outputs["left"] = own
    return outputs


def outputs_of(tree: Tree) -> list[str]:
    return ["default", *NAMES] if tree["named"] else ["default"]


def count(tree: Tree) -> int:
    """How many stages a tree has."""
    return 1 + sum(count(child["tree"]) for child in tree.get("children", ()))


# Stages


def stage_of(tree: Tree, *inputs: Any) -> workflow.Pipeline:
    """The stage that a tree stands for."""
    kind = {"sync": Sync, "async": Async, "generator": Generator}[tree["kind"]]
    named = {Sync: NamedSync, Async: NamedAsync, Generator: NamedGenerator}[kind]
    stage: workflow.Pipeline = (named if tree["named"] else kind)(tree, *inputs)
    needed = tree["fails"] + tree.get("dies", 0) + 1
    return stage.with_params(max_attempts=needed + tree.get("spare", 0), backoff_seconds=1)


def die(stage: workflow.Pipeline, tree: Tree, *, is_end: bool) -> None:
    """End the process in the code of a stage, at its beginning or its end."""
    stem = record_of(stage).stem
    dies = tree.get("dies", 0) and bool(tree["number"] % 2) == is_end and not stage.test_mode
    if dies and PROCESS.deaths[stem] < tree["dies"]:
        PROCESS.die(stem)


def fail(stage: workflow.Pipeline, tree: Tree) -> None:
    if stage.current_attempt <= tree["fails"] and not stage.test_mode:
        raise workflow.Retry("not yet") if tree["number"] % 2 else ValueError("not yet")


class Sync(workflow.Pipeline):
    def run(self, tree: Tree, *inputs: int) -> int:
        die(self, tree, is_end=False)
        own = value_of(tree, list(inputs))
        if tree["named"]:
            self.fill("left", own + 1)
        fail(self, tree)
        if tree["named"]:
            self.fill(self.outputs.right, own + 2)
        die(self, tree, is_end=True)
        return own


class NamedSync(Sync):
    output_names = NAMES


class Async(workflow.Pipeline):
    async_ = True

    def run(self, tree: Tree, *inputs: int) -> None:
        die(self, tree, is_end=False)
        fail(self, tree)
        # A queue remembers names, so those of a second workflow with the same key are others.
        stem = record_of(self).stem.encode().hex()
        name = f"call-{stem}-{self.current_attempt}"
        task = self.get_callback_task(name=name, countdown=tree["number"] % 3)
        with suppress(taskqueue.TaskAlreadyExistsError, taskqueue.TombstonedTaskError):
            task.add(self.queue_name)
        die(self, tree, is_end=True)

    def run_test(self, tree: Tree, *inputs: int) -> None:
        self.callback()

    def callback(self) -> None:
        tree, *inputs = self.args
        own = value_of(tree, inputs)
        if tree["named"]:
            self.fill("left", own + 1)
            self.fill("right", own + 2)
        self.complete(own)


class NamedAsync(Async):
    output_names = NAMES


class Generator(workflow.Pipeline):
    def run(self, tree: Tree, *inputs: int) -> Iterator[Any]:
        die(self, tree, is_end=False)
        futures: list[workflow.PipelineFuture] = []
        if tree["fills_left"]:
            self.fill(self.outputs.left, value_of(tree, list(inputs)))
        order = ExitStack()
        with order:
            for child in tree["children"]:
                if child["in_order"]:
                    order.enter_context(workflow.InOrder())
                taken = [
                    inputs[what] if at == -1 else getattr(futures[at], what)
                    for at, what in child["takes"]
                ]
                with workflow.After(*[futures[at] for at in child["after"]]):
                    futures.append((yield stage_of(child["tree"], *taken)))
                if child["in_order"] == "last":
                    order.close()
            fail(self, tree)
        die(self, tree, is_end=True)


class NamedGenerator(Generator):
    output_names = NAMES


def spared(tree: Tree, spare: int) -> Tree:
    """The tree, each of whose stages has so many attempts beyond those that it needs."""
    children = [
        {**child, "tree": spared(child["tree"], spare)} for child in tree.get("children", ())
    ]
    return {**tree, "spare": spare} | ({"children": children} if children else {})


# Strategies


def trees(most_depth: int = 3, *, are_deadly: bool = False) -> st.SearchStrategy[Tree]:
    """Random trees; if `are_deadly`, some stages end their process."""
    found = st.composite(_draw_tree)(most_depth, 0, st.none())
    return st.composite(_draw_deaths)(found) if are_deadly else found


def _draw_deaths(draw: Any, given: st.SearchStrategy[Tree]) -> Tree:
    tree = draw(given)
    left = [tree]
    while left:
        at = left.pop()
        at["dies"] = draw(st.sampled_from([0, 0, 1, 2, 3]))
        left += [child["tree"] for child in at.get("children", ())]
    return dict(tree)


def _draw_tree(draw: Any, depth: int, inputs: int, named: st.SearchStrategy[Any]) -> Tree:
    is_named = draw(named)
    is_named = draw(st.booleans()) if is_named is None else is_named
    kinds = ["sync", "async"] if depth == 0 else ["sync", "async", "generator", "generator"]
    tree: Tree = {
        "kind": draw(st.sampled_from(kinds)),
        "number": draw(st.integers(0, 99)),
        "fails": draw(st.sampled_from([0, 0, 0, 1, 2])),
        "named": is_named,
        "fills_left": False,
    }
    if tree["kind"] == "generator":
        tree["fills_left"] = is_named and draw(st.booleans())
        tree["children"] = _draw_children(draw, depth, inputs, is_named)
    return tree


def _draw_children(draw: Any, depth: int, inputs: int, is_named: bool) -> list[dict[str, Any]]:
    number = draw(st.integers(1, 4))
    children: list[dict[str, Any]] = []
    ordered = draw(st.integers(0, number))  # from here on within InOrder
    for at in range(number):
        sources = [[-1, place] for place in range(inputs)]
        for sibling, child in enumerate(children):
            sources += [[sibling, name] for name in outputs_of(child["tree"])]
        takes = draw(st.lists(st.sampled_from(sources), max_size=3)) if sources else []
        # The last stage fills what its generator is to give.
        named = st.just(True) if at == number - 1 and is_named else st.none()
        after = draw(st.lists(st.integers(0, at - 1), max_size=2)) if at else []
        children.append(
            {
                "tree": _draw_tree(draw, depth - 1, len(takes), named),
                "takes": takes,
                "after": after,
                "in_order": "first" if at == ordered else "",
            }
        )
    return children
