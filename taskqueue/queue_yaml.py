"""queue.yaml in App Engine's format; every error names the file, the line and the field."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.errors import UsageError
from service.fields import Duration, Section
from service.yaml_file import parse_yaml, read_yaml
from taskqueue.config import (
    DEFAULT_BUCKET,
    DEFAULT_CONCURRENT,
    DEFAULT_RATE,
    MOST_BUCKET,
    MOST_CONCURRENT,
    MOST_RATE,
    Mode,
    QueueConfig,
    QueueDefinition,
)
from taskqueue.errors import ConfigError, InvalidTaskRetryOptionsError
from taskqueue.limits import MAX_QUEUE_NAME_LENGTH
from taskqueue.retry import DEFAULTS, TaskRetryOptions

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PUSH_ONLY = ("rate", "bucket_size", "max_concurrent_requests", "target")


def read_config(file: str | Path) -> QueueConfig:
    """Read and check a queue.yaml. Raises ConfigError."""
    try:
        return _config(read_yaml(Path(file), _File), str(file))
    except UsageError as error:
        raise ConfigError(str(error)) from error


def parse_config(text: str, source: str = "queue.yaml") -> QueueConfig:
    """Read and check the text of a queue.yaml; `source` is its name in errors."""
    try:
        return _config(parse_yaml(text, _File, source), source)
    except UsageError as error:
        raise ConfigError(str(error)) from error


def _rate(text: object) -> float:
    """Tasks a second of `0`, `5/s`, `10/m`, `1/h` or `1/d`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]{1,9})/([smhd])", str(text))
    rate = float(match[1]) / _UNIT_SECONDS[match[2]] if match else 0.0
    if rate > MOST_RATE or (match is None and text != "0"):
        raise ValueError(f"expected 0, or a number and /s, /m, /h or /d, at most {MOST_RATE:.0f}/s")
    return rate


def _bytes(text: object) -> int:
    """Bytes of `1000`, or of a number with B, K, M, G or T (powers of 1024)."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]{1,9})([BKMGT]?)", str(text))
    if not match:
        raise ValueError("expected a number and one of B, K, M, G, T, such as 500M")
    return int(float(match[1]) * 1024 ** "BKMGT".index(match[2] or "B"))


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("expected more than 0s")
    return duration


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


_Name = Annotated[
    str,
    _matching(
        rf"[a-zA-Z0-9-]{{1,{MAX_QUEUE_NAME_LENGTH}}}",
        f"1 to {MAX_QUEUE_NAME_LENGTH} letters, digits and hyphens",
    ),
]
_Target = Annotated[
    str, _matching("[a-zA-Z0-9.-]{1,100}", "a name of letters, digits, hyphens and dots")
]
_Email = Annotated[str, _matching(r"[^@\s]+@[^@\s]+", "an email address")]
_Whole = Annotated[int, Field(ge=0, le=10**9)]
_Seconds = Annotated[float, Field(ge=0, le=10**9)]


class _Retry(Section):
    task_retry_limit: _Whole | None = None
    task_age_limit: Annotated[Duration, AfterValidator(_positive)] | None = None
    min_backoff_seconds: _Seconds | None = None
    max_backoff_seconds: _Seconds | None = None
    max_doublings: _Whole | None = None

    def options(self) -> TaskRetryOptions:
        """The options; where one bound of the backoff passes the other's default, both are it."""
        age = self.task_age_limit
        values = self.model_dump() | {"task_age_limit": age and age.total_seconds()}
        options = TaskRetryOptions(**values)
        low, high = options.min_backoff_seconds, options.max_backoff_seconds
        lowest, highest = DEFAULTS.min_backoff_seconds or 0.0, DEFAULTS.max_backoff_seconds or 0.0
        if low is not None and high is None and low > highest:
            return TaskRetryOptions(max_backoff_seconds=low).over(options)
        if high is not None and low is None and high < lowest:
            return TaskRetryOptions(min_backoff_seconds=high).over(options)
        return options

    @model_validator(mode="after")
    def _has_an_order(self) -> Self:
        try:
            self.options()
        except InvalidTaskRetryOptionsError as error:
            raise _at("max_backoff_seconds", str(error)) from error
        return self


class _Access(Section):
    user_email: _Email | None = None
    writer_email: _Email | None = None


class _Queue(Section):
    name: _Name
    mode: Mode = "push"
    rate: Annotated[float, BeforeValidator(_rate)] = DEFAULT_RATE
    bucket_size: Annotated[int, Field(ge=1, le=MOST_BUCKET)] = DEFAULT_BUCKET
    # App Engine's parser takes 0, for no limit of the queue's own.
    max_concurrent_requests: Annotated[int, Field(ge=0, le=MOST_CONCURRENT)] = DEFAULT_CONCURRENT
    target: _Target | None = None
    retry_parameters: _Retry | None = None
    acl: tuple[_Access, ...] = ()
    dead_letters: bool = True

    @model_validator(mode="after")
    def _fits_its_mode(self) -> Self:
        given = self.model_fields_set
        if self.mode == "push" and "rate" not in given:
            raise _at("name", "a push queue needs a rate; add `rate: 5/s`, or `mode: pull`")
        if self.mode == "pull":
            for name in _PUSH_ONLY:
                if name in given:
                    raise _at(name, "only push queues have this field; remove it")
            retry = self.retry_parameters.model_fields_set if self.retry_parameters else set()
            if retry - {"task_retry_limit"}:
                raise _at("retry_parameters", "pull queues have task_retry_limit alone")
        return self

    def definition(self) -> QueueDefinition:
        return QueueDefinition(
            name=self.name,
            mode=self.mode,
            rate=self.rate,
            bucket_size=self.bucket_size,
            max_concurrent_requests=self.max_concurrent_requests or MOST_CONCURRENT,
            target=self.target,
            retry=self.retry_parameters.options() if self.retry_parameters else None,
            users=tuple(each.user_email for each in self.acl if each.user_email),
            writers=tuple(each.writer_email for each in self.acl if each.writer_email),
            dead_letters=self.dead_letters,
        )


def _with_each_name_once(queues: tuple[_Queue, ...]) -> tuple[_Queue, ...]:
    names = [queue.name for queue in queues]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise _at(at, f"queue {name!r} is defined twice; rename or remove one")
    return queues


class _File(Section):
    application: str | None = None
    total_storage_limit: Annotated[int, BeforeValidator(_bytes)] | None = None
    resume_paused_queues: bool = True
    queue: Annotated[tuple[_Queue, ...], AfterValidator(_with_each_name_once)] = ()


def _at(field: str | int, message: str) -> PydanticCustomError:
    """What refuses a field that was right by itself; `service.fields.where` looks for `field`."""
    return PydanticCustomError("unknown_field", "{message}", {"field": field, "message": message})


def _config(file: _File, source: str) -> QueueConfig:
    return QueueConfig(
        queues={queue.name: queue.definition() for queue in file.queue},
        total_storage_limit=file.total_storage_limit,
        resume_paused_queues=file.resume_paused_queues,
        source=source,
    )
