"""The queues of one application: a store, a queue.yaml and a clock, brought together."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from google.api_core import exceptions as google

from dfpipe.datastore import Store, StoreError, UsageError, connect, outside_transaction
from dfpipe.datastore.connecting import embedded_file
from service.clock import Clock, utc_now
from taskqueue import errors
from taskqueue.config import QueueConfig, QueueDefinition
from taskqueue.storage.leasing import Leasing
from taskqueue.storage.record import generated_name, to_usec
from taskqueue.storage.states import QueueStates
from taskqueue.storage.store import TaskStore
from taskqueue.storage.sweeping import Sweeper


class TaskQueueService:
    """Everything that the queues of one application need.

    `store` is a URL for dfpipe.datastore.connect, or a client from there; transactional adds need
    the very client that runs the transaction. `config` is a QueueConfig or the path of a
    queue.yaml; without it there is the queue `default` alone. `clock` gives aware times.
    """

    def __init__(
        self,
        store: str | Store,
        config: QueueConfig | str | Path | None = None,
        *,
        clock: Clock = utc_now,
        rng: random.Random | None = None,
    ) -> None:
        if not isinstance(store, str) and not hasattr(store, "current_transaction"):
            raise TypeError(f"the store is {store!r:.60}: give a URL or a client of a store")
        with translated():
            self.client = connect(store, verify=True) if isinstance(store, str) else store
        self.config = config if isinstance(config, QueueConfig) else _config(config)
        self.clock = clock
        # Not seeded once: processes that are forked off must not draw the same.
        self.rng = rng or random.SystemRandom()
        self._count = count()
        self.store = TaskStore(self.client)
        self.leasing = Leasing(self.store)
        self.sweeper = Sweeper(self.store)
        self.states = QueueStates(self.client)
        # Called after tasks were added by this process.
        self.added: list[Callable[[], None]] = []
        if config is not None:
            with translated():
                self.states.apply(self.config)

    def now(self) -> int:
        """The time in microseconds since 1970."""
        return to_usec(self.clock())

    def new_names(self, now: int) -> Iterator[str]:
        """An endless iterator of names for unnamed tasks that are added together."""
        bits = self.rng.getrandbits(24)
        return (generated_name(now, number, bits) for number in self._count)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Work on the queues outside of the running Datastore transaction, if there is one.

        Translates the exceptions of the store into those of this package.
        """
        with translated(), outside_transaction(self.client):
            yield

    def definition(self, queue: str) -> QueueDefinition:
        """The definition of a queue, even if it was removed from queue.yaml.

        Raises UnknownQueueError.
        """
        if queue in self.config.queues:
            return self.config.queues[queue]
        with self.apart():
            stored = self.states.definition(queue)
        if stored is None:
            known = ", ".join(sorted(self.config.queues))
            raise errors.UnknownQueueError(
                f"queue {queue!r} is not defined in {self.config.source}, which has {known}"
            )
        return stored

    def pull_queue(self, queue: str) -> QueueDefinition:
        """The definition of a pull queue; raises InvalidQueueModeError for a push queue."""
        definition = self.definition(queue)
        if not definition.is_pull:
            raise errors.InvalidQueueModeError(
                f"queue {queue!r} is a push queue: only tasks of pull queues can be leased"
            )
        return definition

    def queue_names(self) -> list[str]:
        """The queues of queue.yaml, and those that are paused because they were removed from it."""
        with self.apart():
            return sorted({*self.config.queues, *self.states.names()})

    def is_paused(self, queue: str) -> bool:
        """Whether the queue is paused; another process's change is seen within 2 seconds."""
        with self.apart():
            return self.states.is_paused(queue, self.now())

    def set_paused(self, queue: str, paused: bool) -> None:
        """Pause or resume a queue; the tasks of a paused queue are neither sent nor leased."""
        definition = self.definition(queue)
        with self.apart():
            self.states.set_paused(definition, paused)


def open_service(store: str, queue_yaml: str | None, *, create: bool = True) -> TaskQueueService:
    """The service over a store; without a queue.yaml, with the queues the store was last used with.

    A missing file is created if `create` is true. Raises UsageError and ConfigError.
    """
    with translated():
        file = None if create else embedded_file(store)
    if file and not file.exists():
        raise errors.UsageError(f"{file} does not exist: check the path")
    service = TaskQueueService(store, queue_yaml)
    if queue_yaml is None:
        with translated():
            known = {name: service.states.definition(name) for name in service.states.names()}
        queues = {name: definition for name, definition in known.items() if definition}
        service.config = QueueConfig(queues=queues, source="the store")
    return service


def _config(file: str | Path | None) -> QueueConfig:
    if file is not None and not isinstance(file, str | Path):
        raise TypeError(f"the queues are {file!r:.60}: give a QueueConfig or a queue.yaml's path")
    if file is None:
        return QueueConfig()
    # Late, as it imports pydantic: a tenth of a second that few commands need.
    from taskqueue.queue_yaml import read_config

    return read_config(file)


@contextmanager
def translated() -> Iterator[None]:
    """Translate the exceptions of the store into those of this package."""
    try:
        yield
    except UsageError as error:
        raise errors.UsageError(str(error)) from error
    except StoreError as error:
        raise errors.DatastoreError(str(error)) from error
    except (google.Forbidden, google.Unauthorized) as error:
        raise errors.PermissionDeniedError(
            f"the store refused the request: {error.message}"
        ) from error
    except (google.RetryError, google.Aborted, google.ServerError, google.TooManyRequests) as error:
        raise errors.TransientError(
            f"the store is unavailable, try again later: {error}"
        ) from error
    except google.GoogleAPICallError as error:
        raise errors.DatastoreError(f"the store refused the request: {error.message}") from error
