"""Which queues exist and how each behaves; `queue_yaml` reads that from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from taskqueue.retry import TaskRetryOptions

Mode = Literal["push", "pull"]

DEFAULT_QUEUE = "default"
DEFAULT_RATE = 5.0  # tasks a second
DEFAULT_BUCKET = 5
DEFAULT_CONCURRENT = 1000
MOST_RATE = 500.0
MOST_BUCKET = 500
MOST_CONCURRENT = 5000


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
        """Whether its tasks are leased, not sent."""
        return self.mode == "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """What a queue.yaml says. There is always a push queue `default`."""

    queues: Mapping[str, QueueDefinition] = field(default_factory=dict)
    total_storage_limit: int | None = None  # bytes
    resume_paused_queues: bool = True
    source: str = "queue.yaml"

    def __post_init__(self) -> None:
        """Add the queue `default` unless it is defined."""
        default = {DEFAULT_QUEUE: QueueDefinition(name=DEFAULT_QUEUE)}
        object.__setattr__(self, "queues", default | dict(self.queues))
