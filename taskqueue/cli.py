"""The command `taskqueue`."""

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from taskqueue import cli_queues, cli_services
from taskqueue.errors import Error


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Errors are one line; --verbose adds the traceback.",
)
@click.option("--verbose", is_flag=True, help="Show tracebacks.")
def taskqueue(verbose: bool) -> None:
    """Work with push and pull queues, in a store or through the REST API."""


for _command in (*cli_queues.COMMANDS, *cli_services.COMMANDS):
    taskqueue.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 wrongly called, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = words[:1] == ["--verbose"]
    try:
        taskqueue.main(words, prog_name="taskqueue", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", 130, verbose)
    except click.ClickException as error:
        _fail(_one_line(error), error.exit_code, verbose)
    except Error as error:
        _fail(str(error), error.exit_status, verbose)
    sys.exit(0)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _fail(message: str, status: int, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exc()
    click.echo(f"taskqueue: {message}", err=True)
    sys.exit(status)
