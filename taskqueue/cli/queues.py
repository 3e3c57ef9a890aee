"""Commands that show and change queues and tasks."""

import click

from service.options import format_option, limit_option
from taskqueue.cli.old_options import command
from taskqueue.cli.options import (
    TASK_NAME,
    api_options,
    connected,
    cut,
    local,
    read_file,
    show,
    show_tasks,
)
from taskqueue.errors import UsageError
from taskqueue.rest.resources import MOST_LISTED, QueueResources
from taskqueue.task import Task

SIZE_SHOWN = click.option(
    "--payload-size-to-display",
    type=click.IntRange(min=0),
    default=2 * 2**20,
    show_default=True,
    help="Cut longer payloads.",
)


@command(short_help="Show a queue.")
@api_options
@click.option("--get-stats", is_flag=True, help="Count its tasks too.")
def getqueue(get_stats: bool, taskqueue_name: str, **options: object) -> None:
    """Show a queue: its acl and, with --get-stats, its number of tasks."""
    show(connected(options).get_queue(taskqueue_name, get_stats))


@command(short_help="List the first tasks of a queue.")
@api_options
@format_option("json")
@limit_option(MOST_LISTED, most=MOST_LISTED)
def listtasks(taskqueue_name: str, format_: str, limit: int, **options: object) -> None:
    """List the first tasks of a queue, leased or not, without their payloads.

    `taskqueue gettask` shows the payload of one.
    """
    show_tasks(connected(options).list_tasks(taskqueue_name), format_, limit)


@command(short_help="Show a task.")
@api_options
@TASK_NAME
def gettask(task_name: str, taskqueue_name: str, **options: object) -> None:
    """Show a task with its payload, in Base64."""
    show(connected(options).get_task(taskqueue_name, task_name))


@command(short_help="Add a task to a queue.")
@api_options
@click.option("--task-name", metavar="NAME", help="Its name.  [default: a generated one]")
@click.option("--payload", metavar="TEXT")
@click.option(
    "--payload-file",
    metavar="FILE",
    help="Read the payload from this file; - reads standard input.",
)
@click.option("--tag", help="Of a pull task.")
@click.option("--url", metavar="PATH", help="Of a push task: the path of its handler.")
@click.option(
    "--method",
    type=click.Choice(["GET", "POST", "HEAD", "PUT", "DELETE", "PULL"], case_sensitive=False),
    help="[default: POST with --url, else what the queue takes]",
)
@click.option("--countdown", type=float, help="Seconds to wait before it can be sent or leased.")
def addtask(
    task_name: str | None,
    payload: str | None,
    payload_file: str | None,
    tag: str | None,
    url: str | None,
    method: str | None,
    countdown: float | None,
    taskqueue_name: str,
    **options: object,
) -> None:
    """Add a task to a queue, and show it."""
    api = connected(options, create=True)
    if payload is not None and payload_file:
        raise UsageError("--payload and --payload-file are both given: give one of them")
    if isinstance(api, QueueResources):
        is_pull = not url and api.service.definition(taskqueue_name).is_pull
        method = method or ("PULL" if is_pull else "POST")
    elif url or (method or "PULL") != "PULL":
        raise UsageError("the REST API adds pull tasks only; remove --url and --method")
    content = read_file(payload_file) if payload_file else payload
    task = Task(
        b"" if content is None and method in (None, "PULL") else content,
        name=task_name,
        method=method or "PULL",
        tag=tag,
        url=url or "",
        countdown=countdown,
    )
    show(api.insert(taskqueue_name, task))


@command(short_help="Lease tasks.")
@api_options
@click.option("--lease-secs", type=click.IntRange(min=0), required=True, help="For how long.")
@click.option("--num-tasks", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--tag", help="Only tasks with this tag.")
@click.option("--group-by-tag", is_flag=True, help="Only tasks with the tag of the oldest.")
@SIZE_SHOWN
def leasetask(
    lease_secs: int,
    num_tasks: int,
    tag: str | None,
    group_by_tag: bool,
    payload_size_to_display: int,
    taskqueue_name: str,
    **options: object,
) -> None:
    """Lease tasks, so that no other worker gets them, and show them."""
    by_tag = group_by_tag or tag is not None
    leased = connected(options).lease(taskqueue_name, lease_secs, num_tasks, by_tag=by_tag, tag=tag)
    show(cut(leased, payload_size_to_display))


@command(short_help="Extend or release the lease of a task.")
@api_options
@TASK_NAME
@click.option(
    "--lease-secs", type=click.IntRange(min=0), required=True, help="0 releases the task."
)
@click.option(
    "--lease-timestamp",
    type=int,
    help="Change only the lease that ends at this time, in microseconds.",
)
def modifytask(
    task_name: str,
    lease_secs: int,
    lease_timestamp: int | None,
    taskqueue_name: str,
    **options: object,
) -> None:
    """Make the lease of a task end this many seconds from now."""
    show(connected(options).modify(taskqueue_name, task_name, lease_secs, lease_timestamp))


@command(short_help="Delete a task.")
@api_options
@TASK_NAME
def deletetask(task_name: str, taskqueue_name: str, **options: object) -> None:
    """Delete a task, leased or not."""
    connected(options).delete(taskqueue_name, task_name)


@command(short_help="Delete the first tasks of a queue.")
@api_options
@click.option("--max-delete", type=click.IntRange(min=0), default=100, show_default=True)
def clear(max_delete: int, taskqueue_name: str, **options: object) -> None:
    """Delete the first tasks of a queue, and print how many."""
    show({"deleted": connected(options).clear(taskqueue_name, max_delete)})


@command(short_help="List dead letters.")
@api_options
@format_option("json")
@limit_option(MOST_LISTED)
def deadletters(format_: str, limit: int, taskqueue_name: str, **options: object) -> None:
    """List dead letters, the oldest first, without their payloads.

    `taskqueue gettask` shows the payload of one, `taskqueue retry` puts it back into its queue, and
    `taskqueue deletetask` deletes it.
    """
    show_tasks(local(options).dead_letters(taskqueue_name, limit), format_, limit)


@command(short_help="Put dead letters back into their queue.")
@api_options
@click.option("--task-name", metavar="NAME", help="Only this one.  [default: all]")
def retry(task_name: str | None, taskqueue_name: str, **options: object) -> None:
    """Put dead letters back into their queue, due at once, and show them."""
    api = local(options)
    if task_name:
        show(api.revive(taskqueue_name, task_name))
        return
    show({"retried": api.revive_all(taskqueue_name)})


COMMANDS = (
    getqueue,
    listtasks,
    gettask,
    addtask,
    leasetask,
    modifytask,
    deletetask,
    clear,
    deadletters,
    retry,
)
