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
        """The value; raises SlotNotFilledError while there is none."""
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

    def _fill(self, value: Any, filler: str | None, time: datetime | None) -> None:
        self._value, self._filler, self._fill_datetime = value, filler, time
        self._is_filled = True

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

    def _own(self, pipeline_id: str) -> None:
        """Give the slots the keys of that stage's own outputs."""
        self._prefix = pipeline_id
        for slot in self:
            slot._key = f"{pipeline_id}/{slot.name}"

    def _known(self, keys: dict[str, str]) -> None:
        """Take the slots of a stored stage."""
        for name, key in keys.items():
            self._slots.setdefault(name, Slot(name))._key = key

    def _inherit(self, class_name: str, keys: dict[str, str]) -> None:
        """Fill, besides, what the stage's caller leaves to it: names and keys of slots.

        Raises UnexpectedPipelineError where a strict future lacks one of the names.
        """
        for name in keys:
            if self._strict and name not in self._slots:
                raise UnexpectedPipelineError(
                    f"{class_name} is yielded last, so it must fill the output {name!r}, "
                    "which it does not declare"
                )
        self._known(keys)

    def _offer(self, names: Iterable[str]) -> None:
        """Set outputs aside that are undeclared until another stage uses them."""
        for name in names:
            if name in self._slots:
                self._offered[name] = self._slots.pop(name)
                self._offered[name]._is_declared = False

    def _pass_on(self, to: "PipelineFuture") -> None:
        """Let another future have, if it is asked for them, all outputs that this one has."""
        to._offered.update(self._offered)
        self._offered = {}
        to._offered.update({s.name: s for s in self if s.name not in to._slots})

    def _unused(self) -> list[str]:
        """The undeclared outputs that no other stage has used."""
        return [name for name, slot in self._offered.items() if not slot._is_declared]

    def __repr__(self) -> str:
        return f"PipelineFuture({sorted(self._slots)})"
