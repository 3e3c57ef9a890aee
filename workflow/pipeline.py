"""`Pipeline`, the class that every stage derives from."""

import inspect
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from taskqueue import Task
from workflow import binding, registry, values
from workflow.arguments import SECRET, SETTINGS
from workflow.errors import (
    Abort,
    PipelineSetupError,
    Retry,
    SlotNotDeclaredError,
    UnexpectedPipelineError,
)
from workflow.ordering import in_test_mode
from workflow.records import ABORTED, DONE, Record
from workflow.slots import DEFAULT, PipelineFuture, Slot, fill, outputs_of, undeclared

DEFAULT_QUEUE = "default"
DEFAULT_BASE_PATH = "/_ah/pipeline"
# Of callback tasks: which of the workflows that were started with one key they are for.
INCARNATION_HEADER = "X-Workflow-Incarnation"


@dataclass(slots=True)
class Inside:
    """The engine's part of a stage, under one name, so that users' classes may use all others."""

    engine: Any = None
    record: Record | None = None
    is_scheduled: bool = False
    # Outputs that `run` has filled, by name, as JSON; None when they are stored at once.
    fills: dict[str, str] | None = None


class Pipeline:
    """A stage of a workflow: a function `run` of values, of which the outputs are stored.

    Derive a class and define `run`. What it returns is the output `default`. If it yields stages it
    is a generator: each `yield` gives the future outputs of that stage, to be given to later ones,
    and the stage yielded last fills the outputs that the generator itself leaves open. With
    `async_` set, the stage runs until `complete` is called.

    `run` may be called more than once for the same arguments, so it must be idempotent; what it
    fills counts only when it ends.
    """

    async_: ClassVar[bool] = False
    output_names: ClassVar[list[str]] = []
    public_callbacks: ClassVar[bool] = False
    admin_callbacks: ClassVar[bool] = False
    # None: `callback` is called outside of a transaction; else within one.
    _callback_xg_transaction: ClassVar[bool | None] = None
    class_path: ClassVar[str] = "workflow.pipeline.Pipeline"
    # Sends a mail: a method, or a function without `self`, as Send of workflow.mail. None: what
    # the process is configured with.
    _send_mail: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.class_path = registry.path_of(cls)
        registry.register(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args: list[Any] = list(args)
        self.kwargs: dict[str, Any] = kwargs
        self.outputs = PipelineFuture(self.output_names)
        self.backoff_seconds: float = 15
        self.backoff_factor: float = 2
        self.max_attempts = 3
        self.target: str | None = None
        self.task_retry = False
        self.queue_name = DEFAULT_QUEUE
        self.base_path = DEFAULT_BASE_PATH
        self.test_mode = False
        self._inside = Inside()

    # What to define

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The work of the stage: gives its output, or yields child stages. Subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} has to define run()")

    def finalized(self) -> None:
        """Called when all outputs are filled, or after an abort; by default a root tells by mail.

        It may be called again after a failure.
        """
        if self.is_root:
            self.send_result_email()

    def callback(self, **kwargs: Any) -> Any:
        """Called for a request to the callback URL.

        Returns None, or status, content type and body of the answer.
        """
        raise NotImplementedError(f"{type(self).__name__} has no callback()")

    def try_cancel(self) -> bool:
        """Whether an asynchronous stage that is running was cancelled, for a retry or an abort."""
        return False

    # What it is

    @property
    def pipeline_id(self) -> str | None:
        """The id; None before the stage is started or yielded."""
        return self._inside.record.id if self._inside.record else None

    @property
    def root_pipeline_id(self) -> str | None:
        """The id of the stage that was started."""
        return self._inside.record.root if self._inside.record else None

    @property
    def is_root(self) -> bool:
        """Whether the stage was started, and not yielded."""
        return self._inside.record is not None and self._inside.record.is_root

    @property
    def current_attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._inside.record.attempt + 1 if self._inside.record else 1

    @property
    def was_aborted(self) -> bool:
        """Whether the stage was aborted, as far as this object knows."""
        return self._inside.record is not None and self._inside.record.status == ABORTED

    @property
    def has_finalized(self) -> bool:
        """Whether the stage is done and has its outputs, as far as this object knows.

        It is false for an aborted stage: see `was_aborted`.
        """
        return self._inside.record is not None and self._inside.record.status == DONE

    @classmethod
    def is_async(cls) -> bool:
        """Whether `async_` is set, or by setattr its old name."""
        return bool(cls.async_ or getattr(cls, "async", False))

    # Starting

    def start(
        self,
        idempotence_key: str | bytes = "",
        queue_name: str = DEFAULT_QUEUE,
        base_path: str = DEFAULT_BASE_PATH,
        return_task: bool = False,
        countdown: float | None = None,
        eta: datetime | None = None,
    ) -> Task | None:
        """Start the workflow of which this is the root.

        The key, if given, is the id; PipelineExistsError tells that it was used before. With
        `return_task` the first task is not added but returned, for the caller to add. Raises
        PipelineSetupError if it cannot be started for another reason.
        """
        if self._inside.record is not None or self._inside.is_scheduled:
            raise PipelineSetupError(f"{self!r} was started before: make a new one")
        self._inside.engine = binding.current()
        self.queue_name, self.base_path = queue_name, base_path
        task: Task | None = self._inside.engine.start(
            self, idempotence_key, return_task, countdown, eta
        )
        return task

    def start_test(
        self, idempotence_key: str | bytes | None = None, base_path: str = "", **ignored: Any
    ) -> None:
        """Run the workflow here and now, without a store: for tests of stages."""
        binding.run_in_test_mode(self, idempotence_key or "", base_path)

    @classmethod
    def from_id(cls, pipeline_id: str, resolve_outputs: bool = True) -> Any:
        """The stage with an id, as an instance of its own class; None if there is none.

        Its outputs are those that are filled now, unless `resolve_outputs` is false. Where its
        class cannot be imported it is of the class that this is called on.
        """
        return binding.current().stage(pipeline_id, cls, resolve_outputs)

    def with_params(self, **settings: Any) -> Self:
        """Set backoff_seconds, backoff_factor, max_attempts or target, and return the stage.

        In test mode it does nothing.
        """
        if self.test_mode or in_test_mode():
            return self
        if self._inside.is_scheduled or self._inside.record is not None:
            raise UnexpectedPipelineError("with_params() comes before a stage starts or is yielded")
        for name, value in settings.items():
            if name not in SETTINGS:
                raise TypeError(f"with_params() takes {', '.join(SETTINGS)}, not {name!r}")
            setattr(self, name, value)
        return self

    # Outputs

    def fill(self, name_or_slot: str | Slot, value: Any) -> None:
        """Fill an output of this stage. A second value replaces the first.

        A stage without `output_names` has the outputs that other stages use. Raises
        SlotNotDeclaredError for any other name and for another stage's slot,
        UnexpectedPipelineError for what is neither a name nor a slot, and TypeError or ValueError
        for a value that JSON does not have.
        """
        slot = self._own_slot(name_or_slot)
        text = values.dumps(value)
        if self._inside.record is not None and slot.key is None:
            raise undeclared(slot.name, repr(self))
        if self._inside.fills is not None:
            self._inside.fills[slot.name] = text
        else:
            self._must_exist("fill()")
            self._inside.engine.fill(self, slot, text)
            fill(slot, values.loads(text), self.pipeline_id, None)

    def _own_slot(self, name_or_slot: str | Slot) -> Slot:
        if isinstance(name_or_slot, Slot):
            slot = outputs_of(self.outputs).get(name_or_slot.name)
            if slot is None or slot.key != name_or_slot.key:
                raise SlotNotDeclaredError(
                    f"{name_or_slot!r} is not an output of {self!r}: a stage fills its own outputs"
                )
            return slot
        if not isinstance(name_or_slot, str):
            raise UnexpectedPipelineError(
                f"fill() got {name_or_slot!r}: give the name of an output, or its slot"
            )
        return getattr(self.outputs, name_or_slot)  # type: ignore[no-any-return]

    def complete(self, default_output: Any = None) -> None:
        """End an asynchronous stage: fill its output `default`. Done again it changes nothing."""
        if not self.is_async():
            raise UnexpectedPipelineError("complete() is for asynchronous stages: set async_")
        if self.test_mode:
            self.fill(DEFAULT, default_output)
            return
        self._must_exist("complete()")
        self._inside.engine.complete(self, values.dumps(default_output))

    # Retry and abort

    def retry(self, retry_message: str = "") -> bool:
        """Run an asynchronous stage again, if `try_cancel` lets it; returns whether.

        In test mode it raises Retry.
        """
        if not self.is_async():
            raise UnexpectedPipelineError("retry() is for asynchronous stages: raise Retry instead")
        self._must_exist("retry()")
        if self.test_mode:
            raise Retry(retry_message)
        return bool(self.try_cancel() and self._inside.engine.retry(self, retry_message))

    def abort(self, abort_message: str = "") -> bool:
        """Abort the whole workflow; returns whether it was this call that did it.

        False also where the stage is an asynchronous root that `try_cancel` does not let go. In
        test mode it raises Abort.
        """
        self._must_exist("abort()")
        if self.test_mode:
            raise Abort(abort_message)
        if self.is_root and self.is_async() and not self.try_cancel():
            return False
        return bool(self._inside.engine.abort(self, abort_message))

    def cleanup(self) -> None:
        """Delete everything that is stored of the workflow, in a task; ignored on other stages."""
        if self.is_root and not self.test_mode:
            self._inside.engine.cleanup(self)

    def set_status(
        self,
        message: str | None = None,
        console_url: str | None = None,
        status_links: dict[str, str] | None = None,
    ) -> None:
        """Set what the status page shows of it: a text, a URL, and links by their names."""
        if not self.test_mode:
            self._must_exist("set_status()")
            self._inside.engine.set_status(self, message, console_url, status_links or {})

    def send_result_email(self, sender: str | None = None) -> None:
        """Send a mail that tells how the workflow ended, where the process sends mails."""
        if not self.test_mode:
            self._must_exist("send_result_email()")
            self._inside.engine.send_result_email(self, sender)

    # Callbacks

    def get_callback_url(self, **kwargs: Any) -> str:
        """The path and query by which `callback` is called with these arguments."""
        self._must_be_called_back("get_callback_url()")
        fields = {**kwargs, "pipeline_id": self.pipeline_id}
        return f"{self.base_path}/callback?{urlencode(sorted(fields.items()))}"

    def get_callback_task(self, *args: Any, **kwargs: Any) -> Task:
        """A task that calls `callback` with the `params` given; other arguments are Task's.

        If the workflow is deleted and its idempotence key used again, a late task is ignored.
        """
        self._must_be_called_back("get_callback_task()")
        params = {**(kwargs.pop("params", None) or {}), "pipeline_id": self.pipeline_id}
        kwargs.setdefault("target", self.target)
        if self._inside.record is not None and self._inside.record.incarnation:
            own = kwargs.get("headers") or {}
            kwargs["headers"] = {**own, INCARNATION_HEADER: self._inside.record.incarnation}
        kwargs.update(url=f"{self.base_path}/callback", method="POST", params=params)
        return Task(*args, **kwargs)

    def _must_be_called_back(self, method: str) -> None:
        if not self.is_async():
            raise UnexpectedPipelineError(f"{method} is for asynchronous stages: set async_")
        self._must_exist(method)

    # For the engine

    def _revive(self, now: int) -> bool:
        """Go on where what an asynchronous stage waits for is lost; returns whether it was.

        The reaper calls it while the stage runs. `now` is in microseconds since 1970.
        """
        return False

    def _must_exist(self, method: str) -> None:
        if self._inside.record is None:
            raise UnexpectedPipelineError(f"{method} comes after the stage has started")

    def __repr__(self) -> str:
        shown = [_shown(value) for value in self.args]
        shown += [
            f"{name}={'...' if name.startswith(SECRET) else _shown(value)}"
            for name, value in self.kwargs.items()
        ]
        return f"{self.class_path}({', '.join(shown)})#{self.pipeline_id}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def inside(stage: Pipeline) -> Inside:
    """The engine's part of a stage."""
    return stage._inside


def record_of(stage: Pipeline) -> Record:
    """The record of a stage that was started or yielded."""
    record = stage._inside.record
    assert record is not None
    return record


def fills_of(stage: Pipeline) -> dict[str, str]:
    """The outputs that `run` has filled so far, by name, as JSON."""
    fills = stage._inside.fills
    assert fills is not None
    return fills


def mail_sender(stage: Pipeline) -> Any:
    """What sends the mails of a stage's class; None if that is left to the process."""
    own = type(stage)._send_mail
    names = list(inspect.signature(own).parameters) if inspect.isfunction(own) else []
    return stage._send_mail if names[:1] == ["self"] else own


def ends_quietly(found: type[Pipeline], is_root: bool, sends_mail: bool) -> bool:
    """Whether nothing is to be called when a stage of that class is finalized."""
    if found.finalized is not Pipeline.finalized:
        return False
    return not (is_root and (sends_mail or found._send_mail is not None))


def calls_in_transaction(stage: Pipeline) -> bool:
    """Whether `callback` is to be called within a transaction."""
    return stage._callback_xg_transaction is not None


def revive(stage: Pipeline, now: int) -> bool:
    """Resume an asynchronous stage that waits for something lost; returns whether it was."""
    return stage._revive(now)
