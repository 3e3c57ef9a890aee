"""From a command line to a finished run: what `dfpipe run` does."""

import argparse
import copy
import difflib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TypeOptions,
)
from apache_beam.runners.runner import create_runner
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from dfpipe import pipeline, progress
from dfpipe.datastore import connect
from dfpipe.engines import at_launch, dataflow, flink, prism, staging, workers
from dfpipe.errors import UsageError
from dfpipe.options import AnalysisOptions, settings
from dfpipe.posts.span import stored_span
from dfpipe.settings import IN_PROCESS, LOCAL_RUNNER, Parser, RunSettings, with_environment

# The runners that hand a pipeline to a job server.
JOB_SERVED = {"flinkrunner", "portablerunner", "sparkrunner"}


def launch(
    argv: Sequence[str],
    environ: Mapping[str, str],
    verbose: bool = False,
    now: datetime | None = None,
    tell: Callable[[pipeline.Summary], Iterable[str]] | None = None,
    *,
    quiet: bool = False,
) -> str:
    """Run the analysis that the arguments describe; return one line on it. Raises DfpipeError.

    `now` is the default end of the window. `tell` gives more lines on the run. `quiet` shows no
    progress.
    """
    options = parse(argv, environ)
    runner = options.view_as(StandardOptions).runner or LOCAL_RUNNER
    place = options.view_as(PortableOptions).environment_type
    in_process = runner.lower() in IN_PROCESS and place in (None, "LOOPBACK")
    # The graph is always the same, and tested with its types: to check them again takes longer
    # than the analysis of a small window.
    options.view_as(TypeOptions).pipeline_type_check = False
    chosen = settings(options, now or datetime.now(UTC))
    _check_runner(runner)
    dataflow.check_installed(options)
    dataflow.check_job_name(options)
    workers.check_reach(chosen, options)
    if dataflow.is_only_described(options):
        return _describe(chosen, options)
    # This process cannot see the progress of a remote job, but Beam's log shows it. Beam's options
    # have set up logging already.
    logging.getLogger().setLevel(logging.CRITICAL if in_process and not verbose else logging.INFO)
    progress.reset()
    console = Console(file=sys.stderr, quiet=quiet)
    line = Live(_Line(), console=console, transient=True, refresh_per_second=8)
    engines = prism.serving(options, verbose), flink.serving(options, verbose)
    with line, engines[0], engines[1], staging.staged(options):
        summary = pipeline.run_analysis(chosen, options)
    if not summary.posts and not quiet:
        return f"{_line_on(summary)}\n{_where_posts_are(chosen, now or datetime.now(UTC))}"
    return "\n".join([_line_on(summary), *(tell(summary) if tell else ())])


def _line_on(summary: pipeline.Summary) -> str:
    anew = f" ({summary.posts_read:,} read anew)" if summary.posts_cached else ""
    return (
        f"{summary.posts:,} posts{anew}, {summary.words:,} words, {summary.pairs:,} pairs ranked "
        f"in {summary.seconds:.1f} s: run {summary.ts:%Y-%m-%dT%H:%M:%SZ} is in {summary.sink}"
    )


def _where_posts_are(chosen: RunSettings, now: datetime) -> str:
    """Say which times the store holds, after a run that found no posts in its window."""
    with closing(connect(chosen.source, create=False, read_only=True)) as client:
        span = stored_span(client)
    if span is None:
        return f"The store holds no posts: dfpipe import FILE --store {chosen.source}"
    return (
        f"The window from {chosen.start:%Y-%m-%d %H:%M} to {chosen.end:%Y-%m-%d %H:%M} has no "
        f"posts. The store has posts from {span}: for the newest, add --until {span.until(now)}"
    )


def _describe(chosen: RunSettings, options: PipelineOptions) -> str:
    """Have Beam describe a job for Dataflow; read, write and start nothing."""
    google = options.view_as(GoogleCloudOptions)
    given = at_launch.leave_open(chosen, options) if google.template_location else None
    with staging.staged(options):
        pipeline.submit(chosen, options, time.time(), given)
    if google.template_location:
        return f"wrote the template {google.template_location}; no job was started"
    return f"the job {google.job_name} can be submitted; no job was started"


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> PipelineOptions:
    """Read options of this project and of Beam; an unknown one is a UsageError, not a warning.

    A job server has its own options, which Beam learns only when a job is submitted.
    """
    given = with_environment(argv, environ)
    parser = _Parser(allow_abbrev=False, add_help=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    found, unknown = parser.parse_known_args(given)
    if (found.runner or "").lower() in JOB_SERVED:
        unknown = [arg for arg in unknown if not arg.startswith("--") or _near(arg, parser, 0.9)]
    if unknown:
        raise UsageError(f"unknown option {unknown[0]}{_like(unknown[0], parser)}")
    return PipelineOptions(given)


def help_text() -> str:
    """Return the help on the analysis's own options."""
    parser = argparse.ArgumentParser(
        "dfpipe run",
        usage="dfpipe run --store STORE --sink WAREHOUSE [options] [any Beam option]",
        description="Analyse the posts of the last days and write the result tables.",
        epilog="All options of Beam work too, such as --runner=DataflowRunner --project=P "
        f"--region=R. The default runner, {LOCAL_RUNNER}, runs in this process.",
        add_help=False,
        formatter_class=_Help,
    )
    AnalysisOptions._add_argparse_args(parser)
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress, and do not end with the stories"
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this text")
    return parser.format_help().rstrip()


class _Help(argparse.HelpFormatter):
    """Shows one spelling of each option, the first, and not the others that are understood."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add a copy of an option that has only one spelling."""
        shown = copy.copy(action)
        if action.dest != "help":
            shown.option_strings = action.option_strings[:1]
        super().add_argument(shown)


class _Parser(Parser):
    def add_value_provider_argument(self, *names: str, **kwargs: object) -> None:
        """Add an option of a classic template like any other."""
        self.add_argument(*names, **kwargs)  # type: ignore[arg-type]  # passed through


def _like(arg: str, parser: argparse.ArgumentParser) -> str:
    close = _near(arg, parser, 0.6)
    return f": did you mean {close[0]}?" if close else " (see `dfpipe run --help`)"


def _near(arg: str, parser: argparse.ArgumentParser, cutoff: float) -> list[str]:
    # The first spelling of each, by the form in which they are compared.
    known = {
        _plain(name): a.option_strings[0] for a in parser._actions for name in a.option_strings
    }
    close = difflib.get_close_matches(_plain(arg.split("=")[0]), known, n=1, cutoff=cutoff)
    return [known[name] for name in close]


def _plain(name: str) -> str:
    return name.replace("_", "-")


def _check_runner(name: str) -> None:
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"cannot use --runner={name}: {error}") from error


class _Line:
    """The progress line on the terminal."""

    def __init__(self) -> None:
        self.spinner = Spinner("dots")

    def __rich__(self) -> Spinner:
        now = progress.current
        self.spinner.update(text=f"{now.stage}: {now.posts:,} posts")
        return self.spinner
