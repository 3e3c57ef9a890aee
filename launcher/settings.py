"""The launcher's settings, read from the environment in one place."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from service.auth import AuthSettings, settings_from
from service.environment import EnvironmentSettings, read_environment, variable_of
from service.errors import UsageError
from service.fields import Duration, Places, WebUrl
from service.times import format_duration

Overlap = Literal["wait", "skip", "cancel"]
OVERLAPS = get_args(Overlap)
PROJECT = "GOOGLE_CLOUD_PROJECT"


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta():
        raise ValueError("expected more than 0s")
    return duration


Positive = Annotated[Duration, AfterValidator(_positive)]
Folder = Annotated[str, AfterValidator(lambda path: str(Path(path).absolute()))]


class DataflowSettings(EnvironmentSettings):
    """Where Dataflow's jobs run, and as what; empty values are left to Dataflow.

    `endpoint` is another address of its REST API, without credentials if it is http://.
    """

    model_config = SettingsConfigDict(env_prefix="LAUNCHER_DATAFLOW_")

    project: str = ""
    region: str = "us-central1"
    endpoint: WebUrl = ""
    service_account: str = ""
    network: str = ""
    subnetwork: str = ""
    machine_type: str = ""
    max_workers: int = Field(default=0, ge=0)
    temp_location: str = ""
    staging_location: str = ""


class LauncherSettings(EnvironmentSettings):
    """How one launcher works. No secret is in its repr.

    `cron_yaml` says when cron starts the chain, which a page shows; `target` is the launcher's name
    among the dispatcher's targets, empty for the queue's own; `slot` is how often cron starts the
    chain; `overlap` what happens to a slot that comes while the chain of an earlier one is running;
    `poll` how often the state of a running job is checked, besides events; `claim` how long one
    process has for a launch before another one may look whether the job is there, longer than any
    call of a runner takes; `keep` how long what an execution left is kept after its end;
    `jobs_folder` where local jobs leave their files; `url` the service's own address, as people see
    it; `places` the pages of all services; `is_synthetic` makes all pages say that the posts are
    synthetic.
    """

    model_config = SettingsConfigDict(env_prefix="LAUNCHER_")

    store: str = Field(default="", validation_alias="DFPIPE_STORE")
    warehouse: str = Field(default="", validation_alias="DFPIPE_SINK")
    queue_yaml: str = "queue.yaml"
    queue: str = "default"
    target: str = ""
    chains_yaml: str = Field(default="chains.yaml", validation_alias="LAUNCHER_CHAINS")
    chain: str = ""
    cron_yaml: str = Field(default="cron.yaml", validation_alias="LAUNCHER_CRON")
    slot: Positive = timedelta(hours=5)
    overlap: Overlap = "wait"
    poll: Positive = timedelta(seconds=30)
    claim: Positive = timedelta(minutes=3)
    keep: Positive = timedelta(days=30)
    jobs_folder: Folder = "launcher-jobs"
    url: WebUrl = ""
    places: Places = Field(default={}, validation_alias="DFPIPE_NAVIGATION")
    is_synthetic: bool = Field(default=False, validation_alias="LAUNCHER_SYNTHETIC")
    webhook: WebUrl = Field(default="", repr=False)
    # Read from variables of their own.
    auth: AuthSettings = Field(default=AuthSettings(), repr=False, validation_alias="-auth")
    dataflow: DataflowSettings = Field(
        default_factory=DataflowSettings, validation_alias="-dataflow"
    )


def read_settings(environment: Mapping[str, str]) -> LauncherSettings:
    """The settings in an environment; docs/reference/launcher.md lists them. Raises UsageError."""
    given = dict(environment)
    project = given.get(PROJECT, "")
    given.setdefault("LAUNCHER_DATAFLOW_PROJECT", project)
    if given.get("GAE_ENV") and project:
        given.setdefault("DFPIPE_STORE", f"datastore://{project}")
    found = read_environment(LauncherSettings, given, {"DFPIPE_WAREHOUSE": "DFPIPE_SINK"})
    dataflow = read_environment(DataflowSettings, given)
    found = found.model_copy(update={"auth": settings_from(given), "dataflow": dataflow})
    for problem in contradictions(found):
        raise UsageError(problem)
    return found


def contradictions(settings: LauncherSettings) -> Iterator[str]:
    """What is wrong with settings of which each is valid by itself."""
    if settings.keep <= settings.slot:
        # The execution of the current slot would be removed, and the chain started again.
        yield (
            f"LAUNCHER_KEEP is {format_duration(settings.keep)}: expected more than "
            f"LAUNCHER_SLOT, which is {format_duration(settings.slot)}"
        )


def variables() -> list[str]:
    """The names of the variables that are read here."""
    models = (LauncherSettings, DataflowSettings)
    named = [variable_of(model, field) for model in models for field in model.model_fields]
    return [name for name in named if not name.startswith("-")]
