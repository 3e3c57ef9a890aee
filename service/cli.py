"""The command of a service: a click group whose errors are one line and an exit status."""

import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

GOOGLE_ERRORS = (
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


class ServiceGroup(click.Group):
    """A group of commands that takes `--verbose` anywhere and maps errors to exit statuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", "Errors are one line; --verbose adds the traceback.")
        kwargs.setdefault("context_settings", {})
        kwargs["context_settings"] |= {
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            # --queue_yaml is --queue-yaml.
            "token_normalize_func": lambda name: name.replace("_", "-"),
        }
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["--verbose"], is_flag=True, expose_value=False, help="Show tracebacks.")
        )

    def run(self, argv: Sequence[str] | None = None) -> NoReturn:
        """Run a command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted.

        An exception whose class has an `exit_status` is one that users can act on: its first line
        is printed and that status returned. Exceptions of Google's clients become one line too. Any
        other exception is a bug and is raised.
        """
        given = list(sys.argv[1:] if argv is None else argv)
        # What follows `--` is for another program.
        own = given[: given.index("--")] if "--" in given else given
        verbose = "--verbose" in own
        args = [each for each in own if each != "--verbose"] + given[len(own) :]
        try:
            status = self.main(args, prog_name=self.name, standalone_mode=False)
        except (click.exceptions.Abort, KeyboardInterrupt):
            self._fail("interrupted", 130, verbose)
        except click.ClickException as error:
            self._fail(_usage(error), error.exit_code, verbose)
        except Exception as error:
            expected = getattr(type(error), "exit_status", None)
            if expected is None and not isinstance(error, _google_errors()):
                raise
            prefix = "the store does not answer: " if expected is None else ""
            self._fail(prefix + first_line(error), expected or 1, verbose)
        sys.exit(status if isinstance(status, int) else 0)

    def _fail(self, message: str, status: int, verbose: bool) -> NoReturn:
        if verbose:
            traceback.print_exc()
        click.echo(f"{self.name}: {message}", err=True)
        sys.exit(status)


def first_line(error: Exception) -> str:
    r"""The first line of an error's message, or the name of its class.

    >>> first_line(ValueError("no such file\\nmore")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _usage(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _google_errors() -> tuple[type[Exception], ...]:
    """What Google's clients raise, if they have been imported: importing them takes a while."""
    return tuple(
        getattr(sys.modules[module], name)
        for module, name in GOOGLE_ERRORS
        if module in sys.modules
    )
