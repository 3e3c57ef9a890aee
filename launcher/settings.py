"""What the launcher is told by the environment, read in one place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from dfpipe.errors import UsageError
from launcher.pages.access import check_look
from service.auth import AuthSettings, settings_from
from service.errors import UsageError as ServiceUsageError

Overlap = Literal["wait", "skip", "cancel"]
OVERLAPS = get_args(Overlap)
LOOK = "LAUNCHER_LOOK"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOST_LENGTH = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataflowSettings:
    """Where Dataflow's jobs run, and as what; empty values are left to Dataflow.

    `endpoint` is another address of its REST API, without credentials where it is http://.
    """

    project: str = ""
    region: str = "us-central1"
    endpoint: str = ""
    service_account: str = ""
    network: str = ""
    subnetwork: str = ""
    machine_type: str = ""
    max_workers: int = 0
    temp_location: str = ""
    staging_location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one launcher works. No secret is in its repr.

    `target` is the launcher's name among the dispatcher's targets, empty for the queue's own;
    `slot` is how often cron starts the chain; `overlap` what becomes of a slot that comes while the
    chain of an earlier one runs; `poll` how often a running job is asked after, besides events;
    `claim` is how long a launch is nobody else's, longer than any call of a runner takes; `keep` is
    how long what a chain has left is kept after its end; `jobs_folder` has what local jobs leave;
    `url` is the service's own address, as people see it;
    `look` is who may see the page.
    """

    store: str = ""
    warehouse: str = ""
    queue_yaml: str = "queue.yaml"
    queue: str = "default"
    target: str = ""
    chains_yaml: str = "chains.yaml"
    chain: str = ""
    slot: timedelta = timedelta(hours=5)
    overlap: Overlap = "wait"
    poll: timedelta = timedelta(seconds=30)
    claim: timedelta = timedelta(minutes=3)
    keep: timedelta = timedelta(days=30)
    jobs_folder: str = "launcher-jobs"
    url: str = ""
    look: str = "loopback"
    webhook: str = field(default="", repr=False)
    auth: AuthSettings = field(default_factory=AuthSettings, repr=False)
    dataflow: DataflowSettings = field(default_factory=DataflowSettings)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment; docs/reference/launcher.md lists them. Raises UsageError."""

    def text(name: str, default: str = "") -> str:
        return environment.get(name, "").strip() or default

    default = Settings()
    auth = _auth(environment)
    slot = parse_length(text("LAUNCHER_SLOT", "5h"), "LAUNCHER_SLOT")
    return Settings(
        store=text("DFPIPE_STORE", _own_store(environment)),
        warehouse=text("DFPIPE_WAREHOUSE"),
        queue_yaml=text("LAUNCHER_QUEUE_YAML", default.queue_yaml),
        queue=text("LAUNCHER_QUEUE", default.queue),
        target=text("LAUNCHER_TARGET"),
        chains_yaml=text("LAUNCHER_CHAINS", default.chains_yaml),
        chain=text("LAUNCHER_CHAIN"),
        slot=slot,
        overlap=_overlap(text("LAUNCHER_OVERLAP", default.overlap)),
        poll=parse_length(text("LAUNCHER_POLL", "30s"), "LAUNCHER_POLL"),
        claim=parse_length(text("LAUNCHER_CLAIM", "3m"), "LAUNCHER_CLAIM"),
        keep=_keep(text("LAUNCHER_KEEP", "30d"), slot),
        jobs_folder=str(Path(text("LAUNCHER_JOBS_FOLDER", default.jobs_folder)).absolute()),
        url=_url(environment, "LAUNCHER_URL"),
        look=check_look(LOOK, text(LOOK, default.look), auth),
        webhook=_url(environment, "LAUNCHER_WEBHOOK"),
        auth=auth,
        dataflow=_dataflow(environment),
    )


def _dataflow(environment: Mapping[str, str]) -> DataflowSettings:
    def text(name: str) -> str:
        return environment.get(f"LAUNCHER_DATAFLOW_{name}", "").strip()

    return DataflowSettings(
        project=text("PROJECT") or environment.get("GOOGLE_CLOUD_PROJECT", "").strip(),
        region=text("REGION") or DataflowSettings().region,
        endpoint=_url(environment, "LAUNCHER_DATAFLOW_ENDPOINT"),
        service_account=text("SERVICE_ACCOUNT"),
        network=text("NETWORK"),
        subnetwork=text("SUBNETWORK"),
        machine_type=text("MACHINE_TYPE"),
        max_workers=_whole(environment, "LAUNCHER_DATAFLOW_MAX_WORKERS"),
        temp_location=text("TEMP_LOCATION"),
        staging_location=text("STAGING_LOCATION"),
    )


def _own_store(environment: Mapping[str, str]) -> str:
    """On App Engine, the project's own Datastore."""
    project = environment.get("GOOGLE_CLOUD_PROJECT", "")
    return f"datastore://{project}" if environment.get("GAE_ENV") and project else ""


def _auth(environment: Mapping[str, str]) -> AuthSettings:
    try:
        return settings_from(environment)
    except ServiceUsageError as error:
        raise UsageError(str(error)) from error


def _overlap(text: str) -> Overlap:
    if text not in OVERLAPS:
        raise UsageError(f"LAUNCHER_OVERLAP is {text!r}: give one of {', '.join(OVERLAPS)}")
    return cast(Overlap, text)


def _keep(text: str, slot: timedelta) -> timedelta:
    keep = parse_length(text, "LAUNCHER_KEEP")
    if keep <= slot:
        # Its run would be started again.
        raise UsageError(
            f"LAUNCHER_KEEP is {text!r}, and LAUNCHER_SLOT is {slot}: give more than that, as 30d"
        )
    return keep


def _whole(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "").strip() or "0"
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise UsageError(f"{name} is {text!r}: give a whole number, as 10")
    return int(text)


def _url(environment: Mapping[str, str], name: str) -> str:
    url = environment.get(name, "").strip()
    if url and not _is_web(url):
        raise UsageError(f"{name} is no URL of the form https://HOST: give one, or leave it empty")
    return url.rstrip("/")


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.username


def parse_length(text: str, what: str) -> timedelta:
    """A length of time like 5h: a number and s, m, h or d; `what` was given, a UsageError says.

    >>> parse_length("90m", "LAUNCHER_SLOT")
    datetime.timedelta(seconds=5400)
    """
    found = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < length <= _MOST_LENGTH:
        raise UsageError(f"{what} is {text!r}: give a number and s, m, h or d, as 5h")
    return length
