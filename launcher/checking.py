"""What is wrong with a launcher's settings and files: all of it at once."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from dfpipe import warehouse
from dfpipe.datastore import check as check_store
from dfpipe.datastore import connect
from dfpipe.errors import DfpipeError, NoResultsError
from launcher.chains.chains import Chain, read_chains
from launcher.jobs.own import OWN
from launcher.settings import LauncherSettings, read_settings, variables
from service.auth import OLD_PAGE_ACCESS
from service.cli import first_line
from service.errors import UsageError
from taskqueue import TaskQueueService
from taskqueue.errors import Error as TaskqueueError

ON_DATAFLOW = ("dataflow", "flex-template", "classic-template")
# Stores and warehouses that are files of one machine.
LOCAL = ("sqlite:", "duckdb:")

Problems = Iterator[str]
Check = Callable[[LauncherSettings], Iterable[str]]


def problems(environment: Mapping[str, str]) -> list[str]:
    """All problems of the settings in an environment, and of what they name, which is opened."""
    found, settings = _settings(environment)
    checks = (*_BEFORE_SERVING, _all_steps, _store_opens, _results_open)
    # A file that cannot be read fails several checks.
    return list(dict.fromkeys([*found, *_unknown(environment), *_said(checks, settings)]))


def problems_before_serving(settings: LauncherSettings) -> list[str]:
    """The problems that show without opening the store or the warehouse."""
    if not settings.store:
        return ["no store: give --store sqlite:///FILE, or set DFPIPE_STORE"]
    return list(_said(_BEFORE_SERVING, settings))


def _said(checks: tuple[Check, ...], settings: LauncherSettings) -> Problems:
    for check in checks:
        try:
            yield from check(settings)
        except (UsageError, DfpipeError, TaskqueueError, GoogleAPIError, GoogleAuthError) as error:
            yield first_line(error)


def _settings(environment: Mapping[str, str]) -> tuple[list[str], LauncherSettings]:
    """The problems of variables, and the settings of all the others."""
    given = dict(environment)
    found: list[str] = []
    while True:
        try:
            return found, read_settings(given)
        except UsageError as error:
            found.append(str(error))
            wrong = set(re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", str(error)))
            if wrong.isdisjoint(given):
                return found, LauncherSettings()
            given = {name: value for name, value in given.items() if name not in wrong}


def _unknown(environment: Mapping[str, str]) -> Problems:
    known = [*variables(), OLD_PAGE_ACCESS]
    for name in sorted(environment):
        if name.startswith("LAUNCHER_") and name.removesuffix("_FILE") not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {near[0]}?" if near else ""
            yield f"{name} is not a setting of the launcher{hint}"


def _chains(settings: LauncherSettings) -> Problems:
    chains = read_chains(settings.chains_yaml)
    if settings.chain and settings.chain not in chains:
        yield f"LAUNCHER_CHAIN is {settings.chain!r}: expected one of {', '.join(chains)}"


def _all_steps(settings: LauncherSettings) -> Problems:
    for chain in read_chains(settings.chains_yaml).values():
        for problem in _steps(chain, settings):
            yield f"{settings.chains_yaml}: the chain {chain.name}: {problem}"


def _steps(chain: Chain, settings: LauncherSettings) -> Problems:
    for step in chain.steps:
        if step.kind in OWN and not settings.warehouse:
            yield f"the step {step.name} reads the warehouse: set DFPIPE_SINK"
        if step.kind in ON_DATAFLOW and not settings.dataflow.project:
            yield f"the step {step.name} runs on Dataflow: set LAUNCHER_DATAFLOW_PROJECT"
        places = {"{store}": settings.store, "{warehouse}": settings.warehouse}
        for name, text in step.parameters.items() if step.kind in ON_DATAFLOW else ():
            if places.get(text, text).startswith(LOCAL):
                yield (
                    f"the step {step.name}: {name} is {places.get(text, text)}, a file of this "
                    "machine: Dataflow's workers need datastore:// and bigquery://"
                )


def _queue(settings: LauncherSettings) -> Problems:
    if not settings.store:
        yield "DFPIPE_STORE is not set: expected sqlite:///FILE or datastore://PROJECT"
        return
    check_store(settings.store)
    service = TaskQueueService(settings.store, settings.queue_yaml)
    with closing(service.client):
        if service.definition(settings.queue).is_pull:
            yield f"LAUNCHER_QUEUE is {settings.queue!r}, a pull queue: expected a push queue"


def _warehouse(settings: LauncherSettings) -> Iterable[str]:
    if settings.warehouse:
        warehouse.connect(settings.warehouse)  # which opens nothing
    return ()


def _store_opens(settings: LauncherSettings) -> Iterable[str]:
    if settings.store:
        with closing(connect(settings.store)) as client:
            client.get(client.key("LauncherChain", "check"))
    return ()


def _results_open(settings: LauncherSettings) -> Iterable[str]:
    if settings.warehouse:
        with suppress(NoResultsError):  # no run has written there yet
            warehouse.connect(settings.warehouse).query("latest_runs")
    return ()


_BEFORE_SERVING: tuple[Check, ...] = (_chains, _queue, _warehouse)
