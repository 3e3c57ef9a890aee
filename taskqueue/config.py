"""queue.yaml: what queues there are and how each behaves."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from taskqueue.errors import ConfigError, InvalidTaskRetryOptionsError
from taskqueue.limits import MAX_QUEUE_NAME_LENGTH
from taskqueue.retry import DEFAULTS, TaskRetryOptions

Mode = Literal["push", "pull"]

DEFAULT_QUEUE = "default"
DEFAULT_RATE = 5.0  # tasks a second
DEFAULT_BUCKET = 5
DEFAULT_CONCURRENT = 1000
MOST_RATE = 500.0
MOST_BUCKET = 500
MOST_CONCURRENT = 5000

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_QUEUE_NAME = re.compile(rf"[a-zA-Z0-9-]{{1,{MAX_QUEUE_NAME_LENGTH}}}")
_PUSH_ONLY = ("rate", "bucket_size", "max_concurrent_requests", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDefinition:
    """One queue of queue.yaml. `rate` is in tasks a second; a pull queue has no use for it.

    `users` may list, read, lease, delete and update; `writers` may insert; both are e-mail
    addresses. A task that is given up is kept as a dead letter, or deleted without
    `dead_letters`.
    """

    name: str
    mode: Mode = "push"
    rate: float = DEFAULT_RATE
    bucket_size: int = DEFAULT_BUCKET
    max_concurrent_requests: int = DEFAULT_CONCURRENT
    target: str | None = None
    retry: TaskRetryOptions | None = None
    users: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    dead_letters: bool = True

    @property
    def is_pull(self) -> bool:
        """Whether its tasks are leased, and not sent."""
        return self.mode == "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """What a queue.yaml says. There is always a push queue `default`."""

    queues: Mapping[str, QueueDefinition] = field(default_factory=dict)
    total_storage_limit: int | None = None  # bytes
    resume_paused_queues: bool = True
    source: str = "queue.yaml"

    def __post_init__(self) -> None:
        """Add the queue `default` where it is not defined."""
        default = {DEFAULT_QUEUE: QueueDefinition(name=DEFAULT_QUEUE)}
        object.__setattr__(self, "queues", default | dict(self.queues))


def read_config(file: str | Path) -> QueueConfig:
    """Read and check a queue.yaml.

    Raises ConfigError, which names the file, the line, the field and what is allowed there.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read {file}: {reason}") from error
    return parse_config(text, str(file))


def parse_config(text: str, source: str = "queue.yaml") -> QueueConfig:
    """The same of the text of a queue.yaml; `source` is its name in messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        return QueueConfig(source=source)
    return _Reader(source).config(root)


class _Reader:
    """Reads the nodes of one file, so that every refusal has its line."""

    def __init__(self, source: str) -> None:
        self.source = source

    def refusal(self, node: yaml.Node, what: str, expected: str) -> ConfigError:
        line = node.start_mark.line + 1
        return ConfigError(f"{self.source}:{line}: {what}; expected {expected}")

    def config(self, root: yaml.Node) -> QueueConfig:
        known = ("application", "total_storage_limit", "resume_paused_queues", "queue")
        fields = self.fields(root, "the file", known)
        queues: dict[str, QueueDefinition] = {}
        for node in self.items(fields["queue"], "queue") if "queue" in fields else ():
            queue = self.queue(node)
            if queue.name in queues:
                raise self.refusal(node, f"queue {queue.name!r} stands twice", "each name once")
            queues[queue.name] = queue
        return QueueConfig(
            queues=queues,
            total_storage_limit=self.value(fields, "total_storage_limit", _bytes, None),
            resume_paused_queues=self.value(fields, "resume_paused_queues", _boolean, True),
            source=self.source,
        )

    def queue(self, node: yaml.Node) -> QueueDefinition:
        known = ("name", "mode", *_PUSH_ONLY, "retry_parameters", "acl", "dead_letters")
        fields = self.fields(node, "a queue", known)
        if "name" not in fields:
            raise self.refusal(node, "a queue has no name", "`name: NAME` in each queue")
        mode: Mode = self.value(fields, "mode", _mode, "push")
        self.check_mode(node, fields, mode)
        return QueueDefinition(
            name=self.value(fields, "name", _queue_name, ""),
            mode=mode,
            rate=self.value(fields, "rate", _rate, DEFAULT_RATE),
            bucket_size=self.value(fields, "bucket_size", _up_to(MOST_BUCKET), DEFAULT_BUCKET),
            max_concurrent_requests=self.value(
                fields, "max_concurrent_requests", _up_to(MOST_CONCURRENT), DEFAULT_CONCURRENT
            ),
            target=self.value(fields, "target", _target, None),
            retry=self.retry(fields["retry_parameters"], mode)
            if "retry_parameters" in fields
            else None,
            users=tuple(self.emails(fields, "user_email")),
            writers=tuple(self.emails(fields, "writer_email")),
            dead_letters=self.value(fields, "dead_letters", _boolean, True),
        )

    def check_mode(self, node: yaml.Node, fields: dict[str, yaml.Node], mode: Mode) -> None:
        if mode == "push" and "rate" not in fields:
            raise self.refusal(node, "a push queue has no rate", "`rate: 5/s`, or `mode: pull`")
        for name in _PUSH_ONLY if mode == "pull" else ():
            if name in fields:
                raise self.refusal(
                    fields[name], f"a pull queue has a {name}", "that field in push queues only"
                )

    def retry(self, node: yaml.Node, mode: Mode) -> TaskRetryOptions:
        readers: dict[str, Callable[[str], Any]] = {
            "task_retry_limit": _whole,
            "task_age_limit": _seconds,
            "min_backoff_seconds": _number,
            "max_backoff_seconds": _number,
            "max_doublings": _whole,
        }
        known = tuple(readers) if mode == "push" else ("task_retry_limit",)
        fields = self.fields(node, f"retry_parameters of a {mode} queue", known)
        values = {name: self.value(fields, name, readers[name], None) for name in fields}
        try:
            return _with_room(TaskRetryOptions(**values))
        except InvalidTaskRetryOptionsError as error:
            raise self.refusal(node, str(error), "a minimum not above the maximum") from error

    def emails(self, fields: dict[str, yaml.Node], kind: str) -> Iterator[str]:
        for node in self.items(fields["acl"], "acl") if "acl" in fields else ():
            entry = self.fields(node, "an entry of acl", ("user_email", "writer_email"))
            if kind in entry:
                yield self.value(entry, kind, _email, "")

    def fields(self, node: yaml.Node, what: str, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.refusal(node, f"{what} is not a mapping", f"fields: {', '.join(known)}")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.value not in known:
                raise self.refusal(
                    key, f"{what} has an unknown field {key.value!r}", ", ".join(known)
                )
            if key.value in found:
                raise self.refusal(key, f"{what} has {key.value} twice", "each field once")
            found[key.value] = value
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.refusal(node, f"{what} is not a list", "entries that begin with `- `")
        return list(node.value)

    def value(
        self,
        fields: dict[str, yaml.Node],
        name: str,
        read: Callable[[str], Any],
        default: Any,
    ) -> Any:
        if name not in fields:
            return default
        node = fields[name]
        if not isinstance(node, yaml.ScalarNode):
            raise self.refusal(node, f"{name} is not a plain value", "one word or number")
        try:
            return read(node.value)
        except ValueError as error:
            raise self.refusal(node, f"{name} is {node.value!r}", str(error)) from error


def _mode(text: str) -> str:
    if text not in ("push", "pull"):
        raise ValueError("push or pull")
    return text


def _queue_name(text: str) -> str:
    if not _QUEUE_NAME.fullmatch(text):
        raise ValueError(f"1 to {MAX_QUEUE_NAME_LENGTH} letters, digits and hyphens")
    return text


def _rate(text: str) -> float:
    """Tasks a second of `0`, `5/s`, `10/m`, `1/h` or `1/d`."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)/([smhd])", text)
    if text == "0":
        return 0.0
    if not match or (rate := float(match[1]) / _UNIT_SECONDS[match[2]]) > MOST_RATE:
        raise ValueError(f"0, or a number and /s, /m, /h or /d, at most {MOST_RATE:.0f}/s")
    return rate


def _up_to(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= most:
            raise ValueError(f"a whole number from 1 to {most}")
        return int(text)

    return read


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError("a whole number that is not negative")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d*)?|\.\d+", text):
        raise ValueError("a number that is not negative")
    return float(text)


def _seconds(text: str) -> int:
    """Seconds of `30s`, `5m`, `2h` or `1d`."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d*)?|\.\d+)([smhd])", text)
    seconds = int(float(match[1]) * _UNIT_SECONDS[match[2]]) if match else 0
    if seconds <= 0:
        raise ValueError("a number above 0 and s, m, h or d, like 30s or 2d")
    return seconds


def _bytes(text: str) -> int:
    """Bytes of `1000`, or of a number with B, K, M, G or T (powers of 1024)."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d*)?|\.\d+)([BKMGT]?)", text)
    if not match:
        raise ValueError("a number and one of B, K, M, G, T, like 500M")
    power = "BKMGT".index(match[2] or "B")
    return int(float(match[1]) * 1024**power)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _target(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9.-]{1,100}", text):
        raise ValueError("a name of letters, digits, hyphens and dots")
    return text


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError("an e-mail address")
    return text


def _with_room(options: TaskRetryOptions) -> TaskRetryOptions:
    """Where only one bound of the backoff is given and passes the other's default, both are it."""
    low, high = options.min_backoff_seconds, options.max_backoff_seconds
    lowest, highest = DEFAULTS.min_backoff_seconds or 0.0, DEFAULTS.max_backoff_seconds or 0.0
    if low is not None and high is None and low > highest:
        return TaskRetryOptions(max_backoff_seconds=low).over(options)
    if high is not None and low is None and high < lowest:
        return TaskRetryOptions(min_backoff_seconds=high).over(options)
    return options
