"""The command `workflow`."""

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from taskqueue.errors import Error as TaskqueueError
from workflow import cli_commands, cli_run, cli_serve
from workflow.errors import Error, UsageError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Errors are one line; --verbose adds the traceback.",
)
@click.option("--verbose", is_flag=True, help="Show tracebacks.")
def workflow(verbose: bool) -> None:
    """Start workflows, look at them, and end them."""


for _command in (*cli_commands.COMMANDS, cli_run.run, cli_serve.serve):
    workflow.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed or aborted, 2 wrongly called, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = words[:1] == ["--verbose"]
    # Stages are often in the folder where the command is typed, as they are for gunicorn.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        status = workflow.main(words, prog_name="workflow", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", 130, verbose)
    except click.ClickException as error:
        _fail(_one_line(error), error.exit_code, verbose)
    except TaskqueueError as error:
        _fail(str(error), error.exit_status, verbose)
    except Error as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1, verbose)
    sys.exit(status if isinstance(status, int) else 0)


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _fail(message: str, status: int, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exc()
    click.echo(f"workflow: {' '.join(message.split())}", err=True)
    sys.exit(status)
