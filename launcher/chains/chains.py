"""chains.yaml: which chains there are, and the steps of each."""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from launcher.chains.places import COMMON, OLD_NAMES, places_in
from launcher.jobs.own import OWN, is_number
from service.fields import Section, refusal
from service.times import parse_duration
from service.yaml_file import parse_yaml, read_yaml

Kind = Literal["local", "dataflow", "flex-template", "classic-template", "check", "note"]
# What a failed step means for those that have not started: none of them starts, and in addition
# what is running is cancelled; those that need it do not start; all start as if it had succeeded.
OnFailure = Literal["stop", "cancel", "skip", "ignore"]
KINDS, ON_FAILURE = get_args(Kind), get_args(OnFailure)
MOST_STEPS = 200
MOST_RETRIES = 20
_NEEDED = {"local": "command", "flex-template": "template", "classic-template": "template"}
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_PARAMETER = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,99}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r}: expected up to 40 of a-z, 0-9 and -, first a letter and last not -"
        )
    return text


def _parameter(text: str) -> str:
    if not _PARAMETER.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r}: expected up to 100 letters, digits, _, . and -, the first a letter"
        )
    return text


def _seconds(value: object) -> object:
    return parse_duration(value).total_seconds() if isinstance(value, str) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, BeforeValidator(_seconds)]


class Step(Section):
    """A step of a chain.

    `command` is the command line of a local job, `template` the path of a template. Command,
    template and parameters can contain placeholders, which are filled when the step starts: see
    launcher.chains.places. `backoff` and `time_limit` are in seconds; a limit of 0 means none.
    """

    name: Name
    kind: Kind
    template: str = ""
    command: tuple[str, ...] = ()
    parameters: dict[Annotated[str, AfterValidator(_parameter)], str] = Field(default_factory=dict)
    needs: Annotated[tuple[str, ...], AfterValidator(_once)] = ()
    retries: int = Field(0, ge=0, le=MOST_RETRIES)
    backoff: Seconds = 60.0
    time_limit: Seconds = 0.0
    on_failure: OnFailure = "stop"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed = _NEEDED.get(self.kind)
        for field in ("command", "template"):
            has = bool(getattr(self, field))
            if has != (field == needed):
                verb = "takes no" if has else "needs a"
                raise refusal((field,), f"a step of the kind {self.kind} {verb} {field}")
        if self.kind in OWN:  # other jobs know what they take
            self._check_parameters(OWN[self.kind].takes)
        return self

    def _check_parameters(self, taken: tuple[str, ...]) -> None:
        for name, text in self.parameters.items():
            where = ("parameters", name)
            if name not in taken:
                known = ", ".join(taken) or "no parameters"
                raise refusal(where, f"unknown parameter; expected {known}")
            if "{" not in text and not is_number(text):
                raise refusal(where, f"{text[:40]!r}: expected a whole number")

    def texts(self) -> Iterator[str]:
        """The texts that can contain placeholders."""
        yield from (self.template, *self.command, *self.parameters.values())


class Chain(Section):
    """A chain; each step comes after the steps that it needs."""

    name: Name
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < len(self.steps) <= MOST_STEPS:
            count = len(self.steps)
            raise refusal(("steps",), f"{count} steps: expected 1 to {MOST_STEPS}")
        _check_names("steps", [step.name for step in self.steps])
        by_name = {step.name: step for step in self.steps}
        for i, step in enumerate(self.steps):
            _check_needs(i, step, by_name)
        before = _before(self.steps)
        for i, step in enumerate(self.steps):
            _check_places(i, step, [by_name[name] for name in before if name in before[step.name]])
        return self.changed(steps=tuple(by_name[name] for name in before))


class _File(Section):
    chains: tuple[Chain, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if not self.chains:
            raise refusal(("chains",), "no chains: expected at least one")
        _check_names("chains", [chain.name for chain in self.chains])
        return self


def read_chains(file: str | Path) -> dict[str, Chain]:
    """The chains of a file by name, in its order. Raises UsageError with file, line and field."""
    return {chain.name: chain for chain in read_yaml(Path(file), _File).chains}


def parse_chains(text: str, source: str = "chains.yaml") -> dict[str, Chain]:
    """The same for the text of a file; `source` is its name in messages."""
    return {chain.name: chain for chain in parse_yaml(text, _File, source).chains}


def outputs_of(kind: str) -> tuple[str, ...]:
    """The outputs that later steps can have of a step of a kind."""
    return ("job_id", "name", *(OWN[kind].gives if kind in OWN else ()))


def _check_names(field: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise refusal((field, i, "name"), f"{name!r} is used twice; choose another name")


def _check_needs(i: int, step: Step, known: Mapping[str, Step]) -> None:
    for name in step.needs:
        if name not in known:
            raise refusal(
                ("steps", i, "needs"), f"{name[:40]!r}: expected one of {', '.join(known)}"
            )


def _before(steps: tuple[Step, ...]) -> dict[str, set[str]]:
    """All steps before each, by name, in an order in which each comes after what it needs."""
    needs = {step.name: dict.fromkeys(step.needs) for step in steps}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = error.args[1][::-1]
        at = list(needs).index(circle[0])
        raise refusal(
            ("steps", at, "needs"), f"the steps need each other: {' -> '.join(circle)}"
        ) from error
    before: dict[str, set[str]] = {}
    for name in order:
        before[name] = {*needs[name]}.union(*(before[need] for need in needs[name]))
    return before


def _check_places(i: int, step: Step, before: list[Step]) -> None:
    theirs = [f"{each.name}.{output}" for each in before for output in outputs_of(each.kind)]
    for text in step.texts():
        try:
            names = list(places_in(text))
        except ValueError as error:
            raise refusal(("steps", i), str(error)) from error
        for name in names:
            if name not in (*COMMON, *OLD_NAMES, *theirs):
                known = ", ".join([*COMMON, *theirs])
                raise refusal(
                    ("steps", i), f"{{{name}}}: there is no such value; expected one of {known}"
                )
