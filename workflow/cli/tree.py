"""A workflow as lines of text: one for each stage, those that it yielded under it."""

from collections import Counter
from collections.abc import Iterator
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
    """A stage of a tree; without an id, what is left out of it."""

    pipeline_id: str
    depth: int
    status: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<11}{'  ' * min(self.depth, DEEPEST)}{self.text}"


def lines(tree: Tree, most: int | None = MOST_CHILDREN) -> Iterator[Line]:
    """The stages of a tree, of the children of each no more than so many, if any number."""
    pipelines = tree["pipelines"]
    left: list[tuple[int, str] | Line] = [(0, tree["rootPipelineId"])]
    while left:
        at = left.pop()
        if isinstance(at, Line):
            yield at
            continue
        depth, name = at
        yield _line(tree, name, depth)
        children = [child for child in pipelines[name]["children"] if child in pipelines]
        if most is not None and children[most:]:
            left.append(Line("", depth + 1, "", _left_out(tree, children[most:])))
        left.extend((depth + 1, child) for child in reversed(children[:most]))


def _line(tree: Tree, name: str, depth: int) -> Line:
    about = tree["pipelines"][name]
    slots = tree["slots"]
    words = [_argument(each, slots) for each in about["args"]]
    words += [f"{key}={_argument(each, slots)}" for key, each in about["kwargs"].items()]
    text = f"{about['classPath']}({_cut(', '.join(words))}){_outputs(about, slots)}"
    return Line(name, depth, about["status"], f"{text}{_said(about)}")


def _left_out(tree: Tree, names: list[str]) -> str:
    number = Counter(tree["pipelines"][name]["status"] for name in names)
    states = ", ".join(f"{count:,} {status}" for status, count in sorted(number.items()))
    return f"{len(names):,} more: {states}"


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


def _shown(value: Any) -> str:
    return _cut(values.dumps(value))


def _cut(text: str, longest: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
