"""A workflow as lines of text: one for each stage, those that it yielded under it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from workflow import values

MOST_CHILDREN = 20
DEEPEST = 30  # steps of indentation
LONGEST = 60  # characters of a value
STYLES = {"done": "green", "aborted": "red", "run": "cyan", "finalizing": "cyan", "retry": "yellow"}

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A stage of a tree; without an id, a note about what is left out."""

    pipeline_id: str
    depth: int
    status: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<11}{'  ' * min(self.depth, DEEPEST)}{self.text}"


def failure(tree: Tree) -> Iterator[str]:
    """For a workflow that failed: the number of stages by state, and the first failure."""
    pipelines = tree["pipelines"]
    failed = pipelines[tree["rootPipelineId"]].get("failure")
    if failed and len(pipelines) > 1:
        yield f"{len(pipelines):,} stages: {_states(pipelines.values())}"
        yield f"first failure: {failed['classPath']} {failed['pipelineId']}"
        yield f"  {_cut(failed['message'], 200)}"


def lines(tree: Tree, most: int | None = MOST_CHILDREN) -> Iterator[Line]:
    """The stages of a tree: at most `most` children of each, if given, and the one that failed."""
    pipelines = tree["pipelines"]
    failed = _path_to_failure(tree)
    left: list[tuple[int, str] | Line] = [(0, tree["rootPipelineId"])]
    while left:
        at = left.pop()
        if isinstance(at, Line):
            yield at
            continue
        depth, name = at
        yield _line(tree, name, depth)
        children = [child for child in pipelines[name]["children"] if child in pipelines]
        hidden = [] if most is None else [c for c in children[most:] if c not in failed]
        unseen = set(hidden)
        if hidden:
            left.append(Line("", depth + 1, "", _left_out(tree, hidden)))
        left.extend((depth + 1, child) for child in reversed(children) if child not in unseen)


def _line(tree: Tree, name: str, depth: int) -> Line:
    about = tree["pipelines"][name]
    slots = tree["slots"]
    arguments = [_argument(each, slots) for each in about["args"]]
    arguments += [f"{key}={_argument(each, slots)}" for key, each in about["kwargs"].items()]
    text = f"{about['classPath']}({_cut(', '.join(arguments))}){_outputs(about, slots)}"
    return Line(name, depth, about["status"], f"{text}{_said(about)}")


def _path_to_failure(tree: Tree) -> set[str]:
    """The stage that made the workflow fail, and those above it."""
    pipelines = tree["pipelines"]
    parents = {child: name for name, about in pipelines.items() for child in about["children"]}
    name = pipelines[tree["rootPipelineId"]].get("failure", {}).get("pipelineId")
    path: set[str] = set()
    while name is not None and name not in path:
        path.add(name)
        name = parents.get(name)
    return path


def _left_out(tree: Tree, names: list[str]) -> str:
    return f"{len(names):,} more: {_states(tree['pipelines'][name] for name in names)}"


def _states(stages: Iterable[Tree]) -> str:
    number = Counter(about["status"] for about in stages)
    return ", ".join(f"{count:,} {status}" for status, count in sorted(number.items()))


def _argument(argument: Tree, slots: Tree) -> str:
    if argument["type"] == "value":
        return _shown(argument["value"])
    slot = slots.get(argument["slotKey"], {})
    return _shown(slot["value"]) if slot.get("status") == "filled" else "..."


def _outputs(about: Tree, slots: Tree) -> str:
    found = {name: slots.get(key, {}) for name, key in about["outputs"].items()}
    filled = {name: slot["value"] for name, slot in found.items() if "value" in slot}
    default = f" = {_shown(filled.pop('default'))}" if "default" in filled else ""
    return default + "".join(f", {name} = {_shown(value)}" for name, value in filled.items())


def _said(about: Tree) -> str:
    said = ""
    if about["currentAttempt"] > 1 or about["status"] == "retry":
        said += f"  [attempt {about['currentAttempt']} of {about['maxAttempts']}]"
    for name in ("statusMessage", "lastRetryMessage", "abortMessage"):
        if about.get(name):
            said += f"  {_cut(about[name], 200)}"
    return said


def _shown(value: object) -> str:
    return _cut(values.dumps(value))


def _cut(text: str, longest: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
