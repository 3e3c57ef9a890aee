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


_QUIET = "service.cli.quiet"  # in the `meta` that all contexts of a command line share


class ServiceGroup(click.Group):
    """A group of commands that maps errors to exit statuses.

    Its commands take `--verbose` and `--quiet` too. `lazy` has the short help of commands by name,
    for each module whose COMMANDS they are. A module is imported when one of its commands is used,
    so listing them needs no library but click. `extra` is the extra of dfpipe whose libraries the
    commands need. `option_names` maps names that options have had to those that they have now.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, Mapping[str, str]] | None = None,
        extra: str = "",
        option_names: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._lazy, self._extra = lazy or {}, extra
        self._is_verbose = False
        self._option_names = option_names or {}
        kwargs.setdefault("epilog", "Errors are one line; --verbose adds the traceback.")
        kwargs.setdefault("context_settings", {})
        kwargs["context_settings"] |= {
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            "token_normalize_func": self._spelling,
        }
        super().__init__(*args, **kwargs)
        self.params += self._global_options(hidden=False)

    def _spelling(self, name: str) -> str:
        """Return the name of an option as it is declared: --queue_yaml is --queue-yaml."""
        name = name.replace("_", "-")
        return self._option_names.get(name, name)

    def _global_options(self, *, hidden: bool) -> list[click.Parameter]:
        shared: dict[str, Any] = {"is_flag": True, "expose_value": False, "hidden": hidden}
        return [
            click.Option(
                ["--verbose"], callback=self._set_verbose, help="Show tracebacks.", **shared
            ),
            click.Option(
                ["--quiet"],
                callback=_set_quiet,
                help="Print results and errors only: no progress and no notices.",
                **shared,
            ),
        ]

    def _set_verbose(self, ctx: click.Context, parameter: click.Parameter, is_set: bool) -> None:
        self._is_verbose |= is_set

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, which takes the global options after its name too."""
        super().add_command(self._with_global_options(cmd), name)

    def _with_global_options(self, command: click.Command) -> click.Command:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        for each in (command, *inner):
            if not any("--verbose" in parameter.opts for parameter in each.params):
                each.params += self._global_options(hidden=True)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; where there is none of that name, suggest those like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of their declaration."""
        return sorted({*self.commands, *self._helps()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None if there is none."""
        for module, helps in self._lazy.items():
            if cmd_name in helps:
                commands: Sequence[click.Command] = importlib.import_module(module).COMMANDS
                found = next(command for command in commands if command.name == cmd_name)
                return self._with_global_options(found)
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
        self._is_verbose = False
        try:
            status = self.main(argv, prog_name=self.name, standalone_mode=False)
        except (click.exceptions.Abort, KeyboardInterrupt):
            self._fail("interrupted", 130)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            self._fail(_usage(error), error.exit_code)
        except ModuleNotFoundError as error:
            extra = f"run `pip install 'dfpipe[{self._extra}]'`"
            self._fail(f"the package {error.name} is not installed: {extra}", 1)
        # Which errors are the user's is known by their class; the others are raised again.
        except Exception as error:
            expected = getattr(type(error), "exit_status", None)
            if expected is None and not isinstance(error, _google_errors()):
                raise
            prefix = "the store does not answer: " if expected is None else ""
            self._fail(prefix + first_line(error), expected or 1)
        sys.exit(status if isinstance(status, int) else 0)

    def _fail(self, message: str, status: int) -> NoReturn:
        if self._is_verbose:
            traceback.print_exc()
        click.echo(f"{self.name}: {message}", err=True)
        sys.exit(status)


def _set_quiet(ctx: click.Context, parameter: click.Parameter, is_set: bool) -> None:
    ctx.meta[_QUIET] = ctx.meta.get(_QUIET, False) or is_set


def is_quiet() -> bool:
    """Whether the command that is running was given --quiet."""
    return bool(click.get_current_context().meta.get(_QUIET))


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
