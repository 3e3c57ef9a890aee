"""Commands that run until they are stopped: dispatch, serve and puller."""

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from service import auth
from service.listening import Listening, listening_options, run_gunicorn
from service.logging import configure_logging
from service.options import LOG_LEVEL, Seconds
from service.signals import on_stop
from taskqueue.cli.old_options import command
from taskqueue.cli.options import (
    QUEUE_YAML,
    STORE,
    Api,
    api_options,
    connected,
    service_of,
)
from taskqueue.config import QueueConfig
from taskqueue.errors import UsageError
from taskqueue.push.sending import is_web_url
from taskqueue.rest.resources import QueueResources

if TYPE_CHECKING:
    from taskqueue.pull.puller import PullerSettings


@command(short_help="Send the due tasks of push queues to their handlers.")
@STORE
@QUEUE_YAML
@click.option(
    "--target",
    "targets",
    metavar="[NAME=]URL",
    multiple=True,
    required=True,
    help="The base URL of the service; with NAME, of tasks and queues with that target.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 2000),
    default=100,
    show_default=True,
    help="The most concurrent requests.",
)
@click.option(
    "--lease-secs",
    type=Seconds(1),
    default=60.0,
    show_default=True,
    help="How long a task stays with a dispatcher that was killed.",
)
@click.option(
    "--poll-secs",
    type=Seconds(0.05),
    default=0.5,
    show_default=True,
    help="How often to look for tasks of other processes.",
)
@click.option(
    "--deadline-secs",
    type=Seconds(0.1),
    default=600.0,
    show_default=True,
    help="How long a handler may take, unless the task has its own deadline.",
)
@click.option(
    "--grace-secs",
    type=Seconds(0),
    default=30.0,
    show_default=True,
    help="How long to wait for running requests at shutdown.",
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics on that port."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True)
@LOG_LEVEL
def dispatch(
    store: str | None,
    queue_yaml: str | None,
    targets: tuple[str, ...],
    threads: int,
    lease_secs: float,
    poll_secs: float,
    deadline_secs: float,
    grace_secs: float,
    metrics_port: int | None,
    metrics_host: str,
    log_level: str,
) -> None:
    """Send the due tasks of push queues to their handlers, until SIGTERM.

    The requests carry the token in DFPIPE_TASK_TOKEN, or else an OIDC token for the audience
    DFPIPE_TASK_AUDIENCE.
    """
    from taskqueue.push.dispatcher import Dispatcher, DispatchSettings
    from taskqueue.push.metrics import DispatchMetrics
    from taskqueue.push.sending import Sender, parse_targets

    urls = parse_targets(by_name(targets))
    credentials = auth.credentials_from(auth.settings_from(os.environ))
    service = service_of(store, queue_yaml)
    namespace = service.client.namespace
    sender = Sender(
        urls, credentials, connections=threads, deadline=deadline_secs, namespace=namespace
    )
    check_targets(service.config, urls)
    settings = DispatchSettings(threads=threads, poll=poll_secs, lease=lease_secs, grace=grace_secs)
    metrics = DispatchMetrics()
    dispatcher = Dispatcher(service, sender, settings, metrics=metrics)
    if metrics_port is not None:
        serve_metrics(metrics, service, metrics_host, metrics_port)
    configure_logging(log_level)
    on_stop(dispatcher.stop)
    dispatcher.run()


def check_targets(config: QueueConfig, urls: Mapping[str, str]) -> None:
    """Refuse queues whose target has no URL. Raises UsageError."""
    for queue in config.queues.values():
        if queue.target and queue.target not in urls:
            raise UsageError(
                f"queue {queue.name!r} has the target {queue.target!r}: "
                f"give --target {queue.target}=URL"
            )


def serve_metrics(metrics: Any, service: Any, host: str, port: int) -> None:
    """Serve the metrics of a dispatcher and of its queues. Raises UsageError."""
    from prometheus_client import start_http_server

    from taskqueue.push.metrics import QueueCollector

    metrics.registry.register(QueueCollector(service))
    try:
        start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise UsageError(f"--metrics-port {port} cannot be used: {error.strerror}") from error


def named(target: str) -> tuple[str, str]:
    """The name and the URL of a target; the name is empty where only a URL is given.

    >>> named("worker=http://h:1"), named("http://h:1/?a=b")
    (('worker', 'http://h:1'), ('', 'http://h:1/?a=b'))
    """
    name, equals, url = target.partition("=")
    return (name, url) if equals and "/" not in name else ("", target)


def by_name(targets: Iterable[str]) -> dict[str, str]:
    """The URLs of targets by name. Raises UsageError."""
    urls: dict[str, str] = {}
    for name, url in map(named, targets):
        if name in urls:
            raise UsageError(f"--target {name or urls[name]} is given twice: give each name once")
        urls[name] = url
    return urls


@command(short_help="Serve the REST API of pull queues.")
@STORE
@QUEUE_YAML
@click.option("--project-name", help="Answer for this project only.")
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Accept these bearer tokens: a line `TOKEN EMAIL` for each user of the acl.",
)
@click.option(
    "--audience",
    help="Accept Google's OIDC tokens for this audience; the acl lists their email addresses.",
)
@click.option("--no-auth", is_flag=True, help="Allow every request that reaches the port.")
@listening_options(port=8888, workers=1)
def serve(
    store: str | None,
    queue_yaml: str | None,
    project_name: str | None,
    token_file: str | None,
    audience: str | None,
    no_auth: bool,
    listening: Listening,
) -> None:
    """Serve the REST API of pull queues under gunicorn, until SIGTERM."""
    from taskqueue.rest.access import by_oidc, by_tokens, read_tokens
    from taskqueue.rest.blueprint import create_app

    if [bool(token_file), bool(audience), no_auth].count(True) != 1:
        raise UsageError("choose who may call: give one of --token-file, --audience and --no-auth")
    authenticate = None
    if token_file:
        authenticate = by_tokens(read_tokens(token_file))
    elif audience:
        authenticate = by_oidc(audience)
    # Opened and closed once, so that errors show here and not in a worker process.
    service_of(store, queue_yaml).client.close()
    run_gunicorn(
        lambda: create_app(service_of(store, queue_yaml), authenticate, project_name),
        "taskqueue",
        listening,
    )


@command(
    short_help="Run a program for each task of a pull queue.",
    # Everything after the first argument belongs to the program.
    context_settings={"allow_interspersed_args": False},
)
@api_options
@click.option("--lease-secs", type=Seconds(1), default=30.0, show_default=True)
@click.option(
    "--num-tasks",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="The most programs that run at once.",
)
@click.option(
    "--min-running-tasks",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The fewest programs to allow, however short the queue is.",
)
@click.option(
    "--tasks-per-worker",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Run one program for this many tasks of the queue.",
)
@click.option(
    "--sleep-before-next-poll-secs",
    type=Seconds(0.05),
    default=2.0,
    show_default=True,
    help="How often to poll an empty queue.",
)
@click.option(
    "--task-timeout-secs",
    type=Seconds(0.1),
    default=3600.0,
    show_default=True,
    help="How long a program may run.",
)
@click.option(
    "--grace-secs",
    type=Seconds(0),
    default=30.0,
    show_default=True,
    help="How long to wait for running programs at shutdown.",
)
@click.option(
    "--executable-binary",
    metavar="COMMAND",
    help="The program and its arguments as one string, instead of PROGRAM.",
)
@click.option("--output-url", default="", help="POST the output to this URL with the task's name.")
@LOG_LEVEL
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
def puller(
    lease_secs: float,
    num_tasks: int,
    min_running_tasks: int,
    tasks_per_worker: int,
    sleep_before_next_poll_secs: float,
    task_timeout_secs: float,
    grace_secs: float,
    executable_binary: str | None,
    output_url: str,
    log_level: str,
    program: tuple[str, ...],
    taskqueue_name: str,
    **options: object,
) -> None:
    """Run PROGRAM for each task of a pull queue, until SIGTERM.

    The payload is its standard input, and in the file that TASKQUEUE_PAYLOAD_FILE names;
    TASKQUEUE_TASK_NAME, _TAG, _QUEUE, _RETRY_COUNT and _LEASE_TIMESTAMP describe the task. The
    lease is extended while it runs. Exit status 0 deletes the task; any other status releases it
    for a retry.
    """
    from taskqueue.pull.puller import PullerSettings

    settings = PullerSettings(
        queue=taskqueue_name,
        program=command_of(program, executable_binary),
        lease=lease_secs,
        most_running=num_tasks,
        min_running=min_running_tasks,
        tasks_per_worker=tasks_per_worker,
        poll=sleep_before_next_poll_secs,
        task_timeout=task_timeout_secs,
        grace=grace_secs,
        output_url=output_url,
    )
    check(settings)
    api = reachable(options, taskqueue_name)
    configure_logging(log_level)
    pull(api, settings)


def check(settings: "PullerSettings") -> None:
    """Refuse options that contradict each other, and a wrong URL. Raises UsageError."""
    fewest, most, url = settings.min_running, settings.most_running, settings.output_url
    if fewest > most:
        raise UsageError(f"--min-running-tasks {fewest} is more than --num-tasks {most}")
    if url and not is_web_url(url):
        raise UsageError(f"--output-url {url}: give http://HOST/PATH or https://HOST/PATH")


def reachable(options: dict[str, Any], queue: str) -> Api:
    """The queues that the options of `api_options` name, once they have answered.

    A wrong queue or token is reported at once, and not retried forever.
    """
    api = connected(options)
    api.get_queue(queue)
    if isinstance(api, QueueResources):
        api.service.pull_queue(queue)
    return api


def pull(api: Api, settings: "PullerSettings") -> None:
    """Lease tasks and run the program for each, until SIGTERM."""
    from taskqueue.pull.puller import Puller, post_output

    credentials = auth.credentials_from(auth.settings_from(os.environ))
    work = Puller(api, settings, post=lambda url, out: post_output(url, out, credentials(url)))
    on_stop(work.stop)
    work.run()


def command_of(program: tuple[str, ...], executable_binary: str | None) -> tuple[str, ...]:
    """The program to run and its arguments. Raises UsageError."""
    try:
        command = program or tuple(shlex.split(executable_binary or ""))
    except ValueError as error:
        raise UsageError(f"--executable-binary {executable_binary}: {error}") from error
    if not command or (program and executable_binary):
        raise UsageError("give the program either at the end or with --executable-binary")
    if not shutil.which(command[0]):
        raise UsageError(
            f"cannot find the program {command[0]!r}: give its path, and make it executable"
        )
    return command


COMMANDS = (dispatch, serve, puller)
