"""Stages, outputs and barriers as plain records, and how their ids are made.

workflow/engine/model.py says how they are stored. Times are in microseconds since 1970.
"""

import hashlib
import re
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from workflow import values

WAITING, RUN, DONE, ABORTED = "waiting", "run", "done", "aborted"
# Shown instead of WAITING for a stage that failed and waits for its next attempt.
RETRY = "retry"
STATES = (WAITING, RETRY, RUN, DONE, ABORTED)
START, FINALIZE = "start", "finalize"
LONGEST_ID = 1_500  # bytes, as of every key


def is_id(text: str) -> bool:
    """Whether a stage, or what belongs to it, may have that id: the store takes no others as keys.

    >>> is_id("root-1"), is_id(""), is_id("__reserved__")
    (True, False, False)
    """
    return 0 < len(text.encode()) <= LONGEST_ID and not re.fullmatch("__.*__", text, re.DOTALL)


def stem_of(pipeline_id: str, incarnation: str) -> str:
    """The beginning of the keys of what belongs to that incarnation of a stage."""
    return f"{pipeline_id}#{incarnation}" if incarnation else pipeline_id


def child_id(stem: str, attempt: int, number: int) -> str:
    """The id of the stage that a generator yielded, at that attempt, as that number."""
    text = f"{stem}/{attempt}/{number}".encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def barrier_id(stem: str, purpose: str) -> str:
    """The id of the barrier before a stage's start or finalization."""
    return f"{stem}/{purpose}"


@dataclass(slots=True)
class Params:
    """The arguments of a stage and how it is to be run; never changed once it is stored.

    An argument is {"type": "value", "value": ...} or {"type": "slot", "slot": key}.
    """

    args: list[dict[str, Any]]
    kwargs: dict[str, dict[str, Any]]
    after_all: list[str]
    output_slots: dict[str, str]
    queue_name: str
    base_path: str
    backoff_seconds: float
    backoff_factor: float
    max_attempts: int
    task_retry: bool
    target: str | None

    def to_json(self) -> str:
        """The JSON text that is stored."""
        return values.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> "Params":
        """Read the parameters that `to_json` wrote."""
        return cls(**values.loads(text))

    def argument_slots(self) -> list[str]:
        """The slots that stand among the arguments, each once."""
        given = [*self.args, *self.kwargs.values()]
        return list(dict.fromkeys(arg["slot"] for arg in given if arg["type"] == "slot"))

    def blocking_slots(self) -> list[str]:
        """The slots that must be filled before the stage can begin, each once."""
        return list(dict.fromkeys([*self.argument_slots(), *self.after_all]))


@dataclass(kw_only=True)
class Record:
    """A stage. `attempt` counts from 0; `parent` is empty for the root.

    `incarnation` tells apart the workflows that were started, one after another, with the same
    idempotence key; it is empty where the id was generated. `params_json` may be the name of stored
    parts (see large.py), so it is read with `Unit.params`. `children` is how many stages it yielded
    at the attempt `attempt`. `task` is queue/name of the task that was last added for it.

    `begun` is the process in which the user's code was last called, until it has returned; `deaths`
    is how many of those processes have died since it last did (see deaths.py). `end_attempt` is how
    often `finalized` has failed. Of a root only: `failed` is the first stage that was aborted
    because it failed; `is_open` says that stages may not be over yet, even if the root is.
    """

    id: str
    root: str
    parent: str
    class_path: str
    params_json: str
    status: str = WAITING
    attempt: int = 0
    created: int = 0
    started: int | None = None
    finalized: int | None = None
    next_retry: int | None = None
    retry_message: str | None = None
    children: int = 0
    task: str | None = None
    incarnation: str = ""
    begun: str | None = None
    deaths: int = 0
    end_attempt: int = 0
    abort_requested: bool = False
    abort_message: str | None = None
    failed: str | None = None
    is_open: bool = True

    @property
    def is_root(self) -> bool:
        """Whether it was started by itself."""
        return self.id == self.root

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.finalized is not None

    @property
    def state(self) -> str:
        """What the stage does now, one of STATES."""
        return RETRY if self.status == WAITING and self.next_retry is not None else self.status

    @property
    def stem(self) -> str:
        """What the keys of its outputs and barriers begin with: no other incarnation has it.

        The ids of children are made of it too, so that only a root needs another one than its id.
        """
        return stem_of(self.id, "" if self.parent else self.incarnation)

    @cached_property
    def params(self) -> Params:
        """The arguments, where they are not stored in parts."""
        return Params.from_json(self.params_json)

    def child_ids(self, start: int = 0, end: int | None = None) -> list[str]:
        """The ids of the stages that it yielded, from one number up to another."""
        last = self.children if end is None else min(end, self.children)
        return [child_id(self.stem, self.attempt, n) for n in range(start, last)]


@dataclass(slots=True, kw_only=True)
class Slot:
    """An output. `value` is JSON or the name of parts; None until it is filled.

    `waiting` are the barriers that wait for it and stand on no page; `pages` counts those pages.
    """

    id: str
    root: str
    value: str | None = None
    filler: str | None = None
    fill_time: int | None = None
    waiting: list[str] = field(default_factory=list)
    pages: int = 0

    @property
    def is_filled(self) -> bool:
        """Whether the output has a value."""
        return self.value is not None


@dataclass(slots=True, kw_only=True)
class Barrier:
    """What the stage `pipeline_id` waits for.

    `slots_json` is a list of keys, or the name of parts. All slots behind the place `at` are
    filled; the one there is not, and knows that this barrier waits. `at` is -1 when it has fired.
    """

    id: str
    root: str
    pipeline_id: str
    slots_json: str
    at: int
    trigger_time: int | None = None

    @property
    def has_fired(self) -> bool:
        """Whether all slots were filled, and what was to follow was done."""
        return self.trigger_time is not None

    @property
    def purpose(self) -> str:
        """What the stage waits for: START or FINALIZE."""
        return self.id.rpartition("/")[2]


Stored = Record | Slot | Barrier
