"""The runners of a launcher, by the kinds of steps."""

from launcher.jobs import Runner
from launcher.jobs.dataflow import DataflowRunner
from launcher.jobs.dataflow_api import DataflowApi
from launcher.jobs.local import LocalRunner
from launcher.jobs.own import CheckRunner, NoteRunner
from launcher.jobs.templates import ClassicTemplateRunner, FlexTemplateRunner
from launcher.settings import LauncherSettings


def runners_of(settings: LauncherSettings) -> dict[str, Runner]:
    """A runner for each kind of step; no connection is made yet."""
    api = DataflowApi(settings.dataflow)
    local = local_runner(settings)
    return {
        "local": local,
        "dataflow": DataflowRunner(api, local),
        "flex-template": FlexTemplateRunner(api),
        "classic-template": ClassicTemplateRunner(api),
        "check": CheckRunner(settings.warehouse),
        "note": NoteRunner(settings.warehouse, settings.webhook),
    }


def local_runner(settings: LauncherSettings) -> LocalRunner:
    """The runner of local jobs, which get the store and the warehouse by their environment."""
    places = {"DFPIPE_STORE": settings.store, "DFPIPE_SINK": settings.warehouse}
    return LocalRunner(settings.jobs_folder, {name: url for name, url in places.items() if url})
