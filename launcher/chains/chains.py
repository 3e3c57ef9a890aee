"""chains.yaml: which chains there are, and the steps of each."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dfpipe.errors import UsageError
from launcher.chains.places import COMMON, OLD_NAMES, places_in
from launcher.chains.records import Step
from launcher.jobs.own import OWN, is_number
from launcher.settings import parse_length

KINDS = ("local", "dataflow", "flex-template", "classic-template", "check", "note")
# What a failed step means for those that have not started: none of them starts, and besides what
# runs is cancelled; those that need it do not; all go on as if it had succeeded.
ON_FAILURE = ("stop", "cancel", "skip", "ignore")
MOST_STEPS = 200
MOST_RETRIES = 20
_NEEDED = {"local": "command", "flex-template": "template", "classic-template": "template"}
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_PARAMETER = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,99}")
_FIELDS = (
    *("name", "kind", "template", "command", "parameters", "needs"),
    *("retries", "backoff", "time_limit", "on_failure"),
)


class ChainsError(UsageError):
    """A chains.yaml cannot be used; the message has file, line and reason."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; every step stands behind those that it needs."""

    name: str
    steps: tuple[Step, ...]


def read_chains(file: str | Path) -> dict[str, Chain]:
    """The chains of a file by name, in its order. Raises ChainsError."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ChainsError(f"cannot read {file}: {reason}") from error
    return parse_chains(text, str(file))


def parse_chains(text: str, source: str = "chains.yaml") -> dict[str, Chain]:
    """The same of the text of a chains.yaml; `source` is its name in messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ChainsError(f"{source}:{line}: this is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ChainsError(f"{source}: this is no YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ChainsError(f"{source}:1: too many lists in lists; take some away") from error
    if root is None:
        raise ChainsError(f"{source}:1: the file is empty; give chains: and a list")
    return _Reader(source).chains(root)


class _Reader:
    """Reads the nodes of one file; every refusal has its line."""

    def __init__(self, source: str) -> None:
        self.source = source

    def refusal(self, node: yaml.Node, message: str) -> ChainsError:
        return ChainsError(f"{self.source}:{node.start_mark.line + 1}: {message}")

    def chains(self, root: yaml.Node) -> dict[str, Chain]:
        top = self.mapping(root, "the file", ("chains",))
        if "chains" not in top:
            raise self.refusal(root, "there are no chains; give chains: and a list")
        found: dict[str, Chain] = {}
        for node in self.items(top["chains"], "chains"):
            chain = self.chain(node)
            if chain.name in found:
                raise self.refusal(node, f"the chain {chain.name!r} stands twice; name it anew")
            found[chain.name] = chain
        if not found:
            raise self.refusal(root, "there are no chains; give at least one")
        return found

    def chain(self, node: yaml.Node) -> Chain:
        fields = self.mapping(node, "a chain", ("name", "steps"))
        name = self.word(node, fields, "name", _name)
        if "steps" not in fields:
            raise self.refusal(node, f"the chain {name!r} has no steps; give steps: and a list")
        nodes: dict[str, yaml.Node] = {}
        steps: dict[str, Step] = {}
        for item in self.items(fields["steps"], "steps"):
            step = self.step(item)
            if step.name in steps:
                raise self.refusal(item, f"the step {step.name!r} stands twice; name it anew")
            nodes[step.name], steps[step.name] = item, step
        if not 0 < len(steps) <= MOST_STEPS:
            raise self.refusal(
                fields["steps"], f"{len(steps)} steps; give 1 to {MOST_STEPS} for each chain"
            )
        return Chain(name, tuple(self.in_order(nodes, steps)))

    def step(self, node: yaml.Node) -> Step:
        fields = self.mapping(node, "a step", _FIELDS)
        name = self.word(node, fields, "name", _name)
        kind = self.word(node, fields, "kind", _one_of(KINDS))
        step = Step(
            name=name,
            kind=kind,
            template=self.word(node, fields, "template", str, ""),
            command=tuple(self.words(fields, "command")),
            parameters=self.parameters(fields),
            needs=tuple(dict.fromkeys(self.words(fields, "needs"))),
            retries=self.word(node, fields, "retries", _retries, 0),
            backoff=self.word(node, fields, "backoff", _seconds, 60.0),
            limit=self.word(node, fields, "time_limit", _seconds, 0.0),
            on_failure=self.word(node, fields, "on_failure", _one_of(ON_FAILURE), "stop"),
        )
        self.check_kind(node, step)
        return step

    def check_kind(self, node: yaml.Node, step: Step) -> None:
        needed = _NEEDED.get(step.kind)
        if needed and not getattr(step, needed):
            raise self.refusal(
                node, f"the step {step.name!r} of kind {step.kind} has no {needed}; give it"
            )
        for name in ("command", "template"):
            if getattr(step, name) and name != needed:
                raise self.refusal(
                    node,
                    f"the step {step.name!r} of kind {step.kind} takes no {name}; leave it out",
                )

    def in_order(self, nodes: Mapping[str, yaml.Node], steps: Mapping[str, Step]) -> list[Step]:
        """The steps, each behind what it needs; refuses what cannot be."""
        for name, step in steps.items():
            for needed in step.needs:
                if needed not in steps:
                    raise self.refusal(
                        nodes[name],
                        f"the step {name!r} needs {needed!r}, which is no step of its chain; "
                        f"there are {', '.join(steps)}",
                    )
        ordered: list[Step] = []
        before: dict[str, set[str]] = {}
        while len(ordered) < len(steps):
            ready = [s for s in steps.values() if s.name not in before and {*s.needs} <= {*before}]
            if not ready:
                raise self.cycle(nodes, steps, before)
            for step in ready:
                before[step.name] = {*step.needs}.union(*(before[need] for need in step.needs))
                self.check_places(nodes[step.name], step, before[step.name], steps)
                self.check_parameters(nodes[step.name], step)
            ordered += ready
        return ordered

    def cycle(
        self, nodes: Mapping[str, yaml.Node], steps: Mapping[str, Step], done: Mapping[str, Any]
    ) -> ChainsError:
        name = next(name for name in steps if name not in done)
        way = [name]
        while True:
            name = next(need for need in steps[name].needs if need not in done)
            if name in way:
                circle = " -> ".join([*way[way.index(name) :], name])
                return self.refusal(
                    nodes[name], f"the steps need each other in a cycle: {circle}; take one away"
                )
            way.append(name)

    def check_places(
        self, node: yaml.Node, step: Step, before: set[str], steps: Mapping[str, Step]
    ) -> None:
        for text in (step.template, *step.command, *step.parameters.values()):
            try:
                names = list(places_in(text))
            except ValueError as error:
                raise self.refusal(node, f"the step {step.name!r}: {error}") from error
            for name in names:
                first, _, output = name.partition(".")
                outputs = outputs_of(steps[first].kind) if first in before else ()
                if name not in (*COMMON, *OLD_NAMES) and output not in outputs:
                    theirs = [f"{first}.{each}" for each in outputs]
                    known = [*COMMON, *(theirs or ["or STEP.OUTPUT of a step before it"])]
                    raise self.refusal(
                        node,
                        f"the step {step.name!r} has {{{name}}}, for which there is no value; "
                        f"give one of {', '.join(known)}",
                    )

    def check_parameters(self, node: yaml.Node, step: Step) -> None:
        if step.kind not in OWN:
            return  # their jobs know what they take
        taken = OWN[step.kind].takes
        for name, text in step.parameters.items():
            if name not in taken:
                known = ", ".join(taken) or "none"
                raise self.refusal(
                    node, f"the step {step.name!r} takes no parameter {name!r}; give {known}"
                )
            if "{" not in text and not is_number(text):
                raise self.refusal(node, f"{name} is {text!r}; give a whole number")

    # Nodes

    def mapping(self, node: yaml.Node, what: str, known: Sequence[str]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.refusal(node, f"{what} is no mapping; give {', '.join(known)}")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.plain(key, f"a field of {what}")
            if name not in known:
                raise self.refusal(
                    key, f"{what} has {name!r}, which is no field; give {', '.join(known)}"
                )
            if name in found:
                raise self.refusal(key, f"{what} has {name} twice; give it once")
            found[name] = value
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.refusal(node, f"{what} is no list; begin each entry with -")
        return list(node.value)

    def words(self, fields: Mapping[str, yaml.Node], name: str) -> Iterator[str]:
        for node in self.items(fields[name], name) if name in fields else ():
            yield self.plain(node, f"an entry of {name}")

    def parameters(self, fields: Mapping[str, yaml.Node]) -> dict[str, str]:
        if "parameters" not in fields:
            return {}
        node = fields["parameters"]
        if not isinstance(node, yaml.MappingNode):
            raise self.refusal(node, "parameters is no mapping; give NAME: VALUE in each line")
        found: dict[str, str] = {}
        for key, value in node.value:
            name = str(key.value)
            if not _PARAMETER.fullmatch(name) or name in found:
                raise self.refusal(
                    key, f"the parameter {name!r} is no name or stands twice; name it anew"
                )
            found[name] = self.plain(value, f"the parameter {name}")
        return found

    def plain(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.refusal(node, f"{what} is no plain value; give one text")
        return str(node.value)

    def word(
        self,
        node: yaml.Node,
        fields: Mapping[str, yaml.Node],
        name: str,
        read: Callable[[str], Any],
        default: Any = None,
    ) -> Any:
        if name not in fields:
            if default is None:
                raise self.refusal(node, f"{name} is missing; give {name}: and a value")
            return default
        try:
            return read(self.plain(fields[name], name))
        except ValueError as error:
            text = fields[name].value
            raise self.refusal(fields[name], f"{name} is {text!r}; give {error}") from error


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("up to 40 of a-z, 0-9 and -, the first a letter, the last no -")
    return text


def outputs_of(kind: str) -> tuple[str, ...]:
    """What a later step may have of one of a kind."""
    return ("job_id", "name", *(OWN[kind].gives if kind in OWN else ()))


def _one_of(known: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return read


def _retries(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > MOST_RETRIES:
        raise ValueError(f"a whole number from 0 to {MOST_RETRIES}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return parse_length(text, "it").total_seconds()
    except UsageError as error:
        raise ValueError("a number and s, m, h or d, as 90s") from error
