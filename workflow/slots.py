"""Outputs of stages: slots, which are filled once, and the future that holds those of a stage."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from workflow.errors import SlotNotDeclaredError, SlotNotFilledError, UnexpectedPipelineError

DEFAULT = "default"


class Slot:
    """One output of a stage: a promise until it is filled."""

    def __init__(self, name: str | None = None, slot_key: str | None = None) -> None:
        if not name:
            raise UnexpectedPipelineError("a slot needs a name")
        self.name = name
        self._key = slot_key
        self._is_filled = False
        self._value: Any = None
        self._filler: str | None = None
        self._fill_datetime: datetime | None = None
        self._is_declared = True

    @property
    def key(self) -> str | None:
        """The key under which it is stored; None until the stage is started or yielded."""
        return self._key

    @property
    def filled(self) -> bool:
        """Whether there is a value, as far as this object knows."""
        return self._is_filled

    @property
    def value(self) -> Any:
        """The value; raises SlotNotFilledError if the slot is not filled yet."""
        self._must_be_filled()
        return self._value

    @property
    def filler(self) -> str | None:
        """The id of the stage that filled it; raises SlotNotFilledError."""
        self._must_be_filled()
        return self._filler

    @property
    def fill_datetime(self) -> datetime | None:
        """When it was filled, aware and in UTC; raises SlotNotFilledError."""
        self._must_be_filled()
        return self._fill_datetime

    def _must_be_filled(self) -> None:
        if not self._is_filled:
            raise SlotNotFilledError(f"slot {self.name!r} with key {self._key!r} is not filled yet")

    def __repr__(self) -> str:
        return f"Slot<name={self.name!r}, key={self._key!r}>"


def undeclared(name: str, stage: str) -> SlotNotDeclaredError:
    """The error of filling an output that no other stage uses."""
    return SlotNotDeclaredError(
        f"{stage} has no output {name!r}: add it to output_names, or use it in another stage"
    )


class PipelineFuture:
    """The outputs of one stage, each an attribute: `default`, and those with names of their own.

    A strict future has the outputs that were declared and no others; another makes an output of
    every name that is asked for.
    """

    def __init__(self, output_names: Iterable[str] = (), force_strict: bool = False) -> None:
        names = list(output_names)
        self._strict = bool(names) or force_strict
        self._slots = {DEFAULT: Slot(DEFAULT)}
        for name in names:
            if name in self._slots or name.startswith("_"):
                raise UnexpectedPipelineError(
                    f"{name!r} in output_names is reserved, or stands there twice"
                )
            self._slots[name] = Slot(name)
        self._prefix: str | None = None
        # In test mode: outputs that no other stage has used yet, but may.
        self._offered: dict[str, Slot] = {}

    def __getattr__(self, name: str) -> Slot:
        if name.startswith("_"):
            raise AttributeError(name)
        slots: dict[str, Slot] = self.__dict__["_slots"]
        if name not in slots:
            if self._strict:
                raise SlotNotDeclaredError(
                    f"the stage has no output {name!r}: add it to output_names"
                )
            key = self._prefix and f"{self._prefix}/{name}"
            slots[name] = self.__dict__["_offered"].pop(name, None) or Slot(name, key)
        return slots[name]

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def __repr__(self) -> str:
        return f"PipelineFuture({sorted(self._slots)})"


# For the engine and test mode. They are functions because a future has no names but its outputs'.


def fill(slot: Slot, value: object, filler: str | None, time: datetime | None) -> None:
    """Give a slot its value, the stage that filled it, and when."""
    slot._value, slot._filler, slot._fill_datetime = value, filler, time
    slot._is_filled = True


def is_strict(future: PipelineFuture) -> bool:
    """Whether the future has no outputs but those that were declared."""
    return future._strict


def make_strict(future: PipelineFuture) -> None:
    """Let the future have no outputs but those that were declared."""
    future._strict = True


def outputs_of(future: PipelineFuture) -> dict[str, Slot]:
    """The slots by their names, without making others."""
    return future._slots


def own(future: PipelineFuture, stem: str) -> None:
    """Give the slots the keys of a stage's own outputs."""
    future._prefix = stem
    for slot in future:
        slot._key = f"{stem}/{slot.name}"


def take(future: PipelineFuture, keys: dict[str, str]) -> None:
    """Take the names and keys of a stored stage's slots."""
    for name, key in keys.items():
        future._slots.setdefault(name, Slot(name))._key = key


def inherit(future: PipelineFuture, class_name: str, keys: dict[str, str]) -> None:
    """Fill also what the stage above leaves open: names and keys of slots.

    Raises UnexpectedPipelineError if a strict future lacks one of the names.
    """
    for name in keys:
        if future._strict and name not in future._slots:
            raise not_inherited(class_name, name)
    take(future, keys)


def not_inherited(class_name: str, name: str) -> UnexpectedPipelineError:
    """The error of a stage that is yielded last and lacks an output."""
    return UnexpectedPipelineError(
        f"{class_name} is yielded last, so it must fill the output {name!r}, "
        "which it does not declare"
    )


def offer(future: PipelineFuture, names: Iterable[str]) -> None:
    """Set outputs aside that are undeclared until another stage uses them."""
    for name in names:
        if name in future._slots:
            future._offered[name] = future._slots.pop(name)
            future._offered[name]._is_declared = False


def pass_on(future: PipelineFuture, to: PipelineFuture) -> None:
    """Let another future have, if it is asked for them, all outputs that this one has."""
    to._offered.update(future._offered)
    future._offered = {}
    to._offered.update({s.name: s for s in future if s.name not in to._slots})


def unused(future: PipelineFuture) -> list[str]:
    """The undeclared outputs that no other stage has used."""
    return [name for name, slot in future._offered.items() if not slot._is_declared]
