"""The command of a service: a click group whose errors are one line and an exit status."""

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

GOOGLE_ERRORS = (
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


class ServiceGroup(click.Group):
    """A group of commands that takes `--verbose` anywhere and maps errors to exit statuses.

    `lazy` has the short help of commands by name, for each module whose COMMANDS they are. A module
    is imported when one of its commands is used, so listing them needs no library but click.
    `extra` is the extra of dfpipe whose libraries the commands need.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, Mapping[str, str]] | None = None,
        extra: str = "",
        **kwargs: Any,
    ) -> None:
        self._lazy, self._extra = lazy or {}, extra
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

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*self.commands, *self._helps()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None if there is none."""
        for module, helps in self._lazy.items():
            if cmd_name in helps:
                commands: Sequence[click.Command] = importlib.import_module(module).COMMANDS
                return next(command for command in commands if command.name == cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their short help."""
        helps = self._helps() | {n: c.get_short_help_str(100) for n, c in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(helps.items()))

    def all_commands(self) -> dict[str, click.Command]:
        """Import all commands, and return them by name."""
        context = click.Context(self)
        found = {name: self.get_command(context, name) for name in self.list_commands(context)}
        return {name: command for name, command in found.items() if command}

    def _helps(self) -> dict[str, str]:
        return {name: text for helps in self._lazy.values() for name, text in helps.items()}

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
        except ModuleNotFoundError as error:
            extra = f"run `pip install 'dfpipe[{self._extra}]'`"
            self._fail(f"the package {error.name} is not installed: {extra}", 1, verbose)
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
