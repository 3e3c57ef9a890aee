"""The command `collector`."""

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from collector import cli_accounts, cli_letters, cli_services
from dfpipe.errors import DfpipeError
from dfpipe.version import VERSION
from taskqueue.errors import Error

GOOGLE_ERRORS = (
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Errors are one line; --verbose adds the traceback.",
)
@click.version_option(VERSION, prog_name="collector")
@click.option("--verbose", is_flag=True, help="Show tracebacks.")
def collector(verbose: bool) -> None:
    """Bring timelines in: follow accounts, fetch what is new there, take posts that are pushed.

    The settings are in the environment: docs/reference/collector.md lists them.
    """


for _command in (*cli_accounts.COMMANDS, *cli_letters.COMMANDS, *cli_services.COMMANDS):
    collector.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 wrongly called, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in words
    words = [*["--verbose"] * verbose, *(word for word in words if word != "--verbose")]
    try:
        collector.main(words, prog_name="collector", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", 130, verbose)
    except click.ClickException as error:
        _fail(_of_click(error), error.exit_code, verbose)
    except (DfpipeError, Error) as error:
        _fail(_one_line(error), error.exit_status, verbose)
    except Exception as error:
        if not _is_of_google(error):
            raise
        _fail(f"the store does not answer: {_one_line(error)}", 1, verbose)
    sys.exit(0)


def _is_of_google(error: Exception) -> bool:
    """Whether Google's clients raised it; who has not imported them has none."""
    kinds = [getattr(sys.modules[m], name) for m, name in GOOGLE_ERRORS if m in sys.modules]
    return isinstance(error, tuple(kinds))


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _of_click(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _fail(message: str, status: int, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exc()
    click.echo(f"collector: {message}", err=True)
    sys.exit(status)
