"""What the service of workflows and its command are given, read in one place."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import taskqueue
from service.auth import AuthSettings
from service.auth import settings_from as auth_from
from taskqueue import QueueConfig
from taskqueue.cli.options import service_of
from workflow import mail
from workflow.binding import bind
from workflow.engine.engine import Engine
from workflow.errors import UsageError
from workflow.mail import Mail

STORE = "TASKQUEUE_STORE"
QUEUE_YAML = "WORKFLOW_QUEUE_YAML"
MODULES = "WORKFLOW_MODULES"
LOG_LEVEL = "WORKFLOW_LOG_LEVEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the service is given. Without a queue.yaml the queues are those that the store knows."""

    store: str | None
    queue_yaml: str | None = None
    modules: tuple[str, ...] = ()
    auth: AuthSettings = field(default_factory=AuthSettings)
    mail: Mail | None = None
    log_level: str = "INFO"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings that the environment holds. Raises UsageError, also taskqueue's."""
    return Settings(
        store=environment.get(STORE) or None,
        queue_yaml=environment.get(QUEUE_YAML) or None,
        modules=tuple(environment.get(MODULES, "").replace(",", " ").split()),
        auth=auth_from(environment),
        mail=mail.settings_from(environment),
        log_level=environment.get(LOG_LEVEL) or "INFO",
    )


def open_engine(store: str | None, queue_yaml: str | None, sends: Mail | None = None) -> Engine:
    """Bind this process to the workflows of a store. Raises UsageError, also taskqueue's.

    Where neither a queue.yaml is given nor the store knows queues, there is `default` alone.
    """
    if not store:
        raise UsageError(
            f"no store is named: give --store (or {STORE}) as sqlite:///FILE or datastore://PROJECT"
        )
    service = service_of(store, queue_yaml)
    if not service.config.queues:
        service.config = QueueConfig()
    taskqueue.bind(service)
    engine = Engine(service, sends)
    bind(engine)
    return engine


def import_modules(names: tuple[str, ...]) -> None:
    """Import the modules of stages, so that the status page can name them. Raises UsageError."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UsageError(f"module {name} cannot be imported: {error}") from error
