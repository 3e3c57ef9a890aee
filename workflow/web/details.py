"""What a page shows of the arguments, outputs and other slots of one stage."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workflow import values
from workflow.web.describing import Tree


@dataclass(frozen=True, slots=True)
class Shown:
    """A value under a name; `text` is None where its slot is not filled.

    `source` is the stage that fills the slot as its output `output`; both are empty for a value
    that no slot holds, and for the stage's own outputs.
    """

    name: str
    text: str | None
    source: str = ""
    output: str = ""


def arguments(about: Tree, slots: Tree) -> Iterator[Shown]:
    """The arguments of a stage, by their places from 1 and their names."""
    places = ((str(place), given) for place, given in enumerate(about["args"], start=1))
    for name, given in (*places, *about["kwargs"].items()):
        if given["type"] == "slot":
            yield _slot(name, given["slotKey"], slots)
        else:
            yield Shown(name, text_of(given["value"]))
    left = about["argumentCount"] - len(about["args"]) - len(about["kwargs"])
    if left:
        yield Shown("…", f"and {left:,} more")


def outputs(stage: str, about: Tree, slots: Tree) -> Iterator[Shown]:
    """The outputs of a stage, and which other stage fills one of them for it."""
    for name, key in about["outputs"].items():
        found = _slot(name, key, slots)
        yield Shown(name, found.text) if found.source == stage else found


def awaited(keys: Iterable[str], slots: Tree) -> Iterator[Shown]:
    """The outputs that a stage waits for without taking them as arguments."""
    for place, key in enumerate(keys, start=1):
        yield _slot(str(place), key, slots)


def text_of(value: object) -> str:
    """A value as it is shown: texts as they are, everything else as indented JSON.

    >>> print(text_of("a text"), text_of({"b": [1]}))
    a text {
     "b": [
      1
     ]
    }
    """
    if isinstance(value, str):
        return value
    return json.dumps(json.loads(values.dumps(value)), indent=1, ensure_ascii=False)


def _slot(name: str, key: str, slots: Tree) -> Shown:
    slot = slots[key]
    stem, _, output = key.rpartition("/")
    text = text_of(slot["value"]) if slot["status"] == "filled" else None
    return Shown(name, text, slot["fillerPipelineId"] or stem, output)
