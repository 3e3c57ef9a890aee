"""The settings of the workflow service and its command, read from the environment in one place."""

import importlib
from collections.abc import Mapping

from pydantic import Field
from pydantic_settings import SettingsConfigDict

import taskqueue
from service.auth import AuthSettings
from service.auth import settings_from as auth_from
from service.environment import EnvironmentSettings, read_environment
from service.fields import Words
from taskqueue import QueueConfig
from taskqueue.service import open_service
from workflow import mail
from workflow.binding import bind
from workflow.engine.engine import Engine
from workflow.errors import UsageError
from workflow.mail import Mail

STORE = "DFPIPE_STORE"
QUEUES_STORE = "TASKQUEUE_STORE"  # where queues and workflows have a store of their own


class WorkflowSettings(EnvironmentSettings):
    """How one workflow service works. No secret is in its repr.

    Without a `queue_yaml`, the queues are those that the store was last used with; `modules` are
    imported at start.
    """

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_")

    store: str = Field(default="", validation_alias=STORE)
    queue_yaml: str = ""
    modules: Words = ()
    log_level: str = "INFO"
    # Read from variables of their own.
    auth: AuthSettings = Field(default=AuthSettings(), repr=False, validation_alias="-auth")
    mail: Mail | None = Field(default=None, validation_alias="-mail")


def read_settings(environment: Mapping[str, str]) -> WorkflowSettings:
    """The settings in an environment; docs/reference/workflow.md lists them. Raises UsageError."""
    given = {**environment, STORE: environment.get(QUEUES_STORE) or environment.get(STORE, "")}
    found = read_environment(WorkflowSettings, given)
    return found.changed(auth=auth_from(environment), mail=mail.settings_from(environment))


def open_engine(
    store: str, queue_yaml: str, sends: Mail | None = None, *, create: bool = True
) -> Engine:
    """Bind this process to the workflows of a store. Raises UsageError, also taskqueue's.

    Without a queue.yaml, and in a store that knows no queues, the only queue is `default`. A
    missing file is created if `create` is true.
    """
    if not store:
        raise UsageError(
            f"no store: give --store, or set {STORE}, as sqlite:///FILE or datastore://PROJECT"
        )
    service = open_service(store, queue_yaml or None, create=create)
    if not service.config.queues:
        service.config = QueueConfig()
    taskqueue.bind(service)
    engine = Engine(service, sends)
    bind(engine)
    return engine


def import_modules(names: tuple[str, ...]) -> None:
    """Import modules of stages, so that the status page can list them. Raises UsageError."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a module may raise anything
            raise UsageError(f"cannot import module {name}: {error}") from error
