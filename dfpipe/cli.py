"""The command `dfpipe`: a subcommand is a file of dfpipe.commands, imported when called."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from dfpipe.added_commands import AddedCommand, added_commands
from dfpipe.version import VERSION

# Name: (module in dfpipe.commands, short help). The help is repeated here so that `dfpipe --help`
# imports none of them; a test holds it equal to the command's own.
COMMANDS = {
    "import": ("import_", "Read archives of posts into a store."),
    "export": ("export", "Write the posts of a store as JSON lines."),
    "backup": ("backup", "Copy a store that is in use to a file."),
    "run": ("run", "Analyse the posts of the last days, on any Beam runner."),
    "cache": ("cache", "Show or clean what runs keep of past hours."),
    "query": ("query", "Answer a named query from the results."),
    "story": ("story", "Show one story with its timeline, links and posts."),
    "report": ("report", "Write a run as one HTML file."),
    "stopwords": ("stopwords", "Print the stop words in effect."),
    "try": ("try_", "Show what an archive talks about, in one command."),
    "demo": ("demo", "Run the whole pipeline on a synthetic timeline."),
}

# The name of an option in all subcommands, for other names that it has had.
OPTION_NAMES = dict.fromkeys(("to", "from", "source"), "store")

# Options of all subcommands, which may stand before or after the name of one.
ANYWHERE = ("--verbose", "--quiet")

GOOGLE_ERRORS = (
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names: first the own ones in the order of a first use, then added ones."""
        return [*COMMANDS, *sorted(_added())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None if there is none."""
        if cmd_name in (added := _added()):
            return added[cmd_name].load()
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dfpipe.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a library that is missing ends it with the extra that installs it."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            added = _added().get(ctx.invoked_subcommand or "")
            extra = ",".join(added.extras) if added else "local"
            if not extra:  # of a distribution that names none
                raise
            raise click.ClickException(
                f"the package {error.name} is not installed: run `pip install 'dfpipe[{extra}]'`"
            ) from error

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing dfpipe's own."""
        own = [(name, text) for name, (_, text) in COMMANDS.items()]
        added = [(name, _short_help(command)) for name, command in sorted(_added().items())]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *added])


def _added() -> dict[str, AddedCommand]:
    """Return the subcommands that installed distributions add, by name."""
    added = added_commands()
    for name in sorted(added.keys() & COMMANDS.keys()):
        raise click.ClickException(
            f"{added[name].value} adds the subcommand {name}, which dfpipe already has: "
            "uninstall the distribution that adds it, or rename its subcommand"
        )
    return added


def _short_help(added: AddedCommand) -> str:
    """Return the short help of an added command; its module is imported, as only that has it."""
    try:
        return str(added.load().short_help)
    except Exception as error:  # of any module: the other commands stay listed
        return f"(cannot be imported: {_first_line(error)})"


def _spelling(name: str) -> str:
    """Return the name of an option as it is declared: --top_words is --top-words."""
    name = name.replace("_", "-")
    return OPTION_NAMES.get(name, name)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "token_normalize_func": _spelling,
    },
    epilog="Start with `dfpipe demo`. Errors are one line; --verbose adds the traceback.",
)
@click.version_option(VERSION, prog_name="dfpipe")
@click.option("--verbose", is_flag=True, help="Show tracebacks and informative log lines.")
@click.option(
    "--quiet", is_flag=True, help="Print results and errors only: no progress and no notes."
)
def dfpipe(verbose: bool, quiet: bool) -> None:
    """Find out what a timeline is talking about."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 ended.

    `--verbose` and `--quiet` may stand anywhere on the line. When the reader of the output goes
    away, the command ends with 1 and prints no error.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    anywhere = [option for option in ANYWHERE if option in given]
    args = [*anywhere, *(arg for arg in given if arg not in ANYWHERE)]
    verbose = "--verbose" in anywhere
    if sys.stdout is None:
        # The next file to be opened would take its place, and the output would go there.
        _fail("standard output is closed: send it to a file, or to /dev/null", 1, False)
    interrupt = _Interrupt()
    try:
        status = dfpipe.main(args, prog_name="dfpipe", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        _fail(*interrupt.outcome(), verbose)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(_one_line(error), error.exit_code, verbose)
    # Beam, and extension modules being imported, turn an interrupt into errors of their own.
    except Exception as error:
        if interrupt.came:
            _fail(*interrupt.outcome(), verbose)
        if isinstance(error, OSError):
            _drop_output()
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        # Added commands have errors of their own, with an exit status too.
        status = getattr(type(error), "exit_status", None)
        if status is None and not isinstance(error, (OSError, *_google_errors())):
            raise
        _fail(_first_line(error), status or 1, verbose)
    sys.exit(status if isinstance(status, int) else 0)


class _Ended(KeyboardInterrupt):
    """Not Python's own class: `python -m` dies of one that has passed the `exec` of a text.

    Dataclasses are made by such an `exec`, while modules are imported.
    """


class _Interrupt:
    """Remembers the signal that asked the process to end.

    Neither Ctrl-C nor SIGTERM, nor SIGHUP when a terminal closes, leaves temporary files behind. A
    signal that is ignored, as SIGHUP is under nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.came: int | None = None
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        """Raise as Python's own handler does."""
        self.came = number
        raise _Ended

    def outcome(self) -> tuple[str, int]:
        """Return what to say and the exit status."""
        if self.came in (signal.SIGTERM, signal.SIGHUP):
            return "terminated", 128 + self.came
        return "interrupted", 130


def _google_errors() -> tuple[type[Exception], ...]:
    """Return what Google's clients raise, if they have been imported: it takes a while."""
    return tuple(
        getattr(sys.modules[module], name)
        for module, name in GOOGLE_ERRORS
        if module in sys.modules
    )


def _drop_output() -> None:
    """Lose what could not be written, which Python would try again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _fail(message: str, status: int, verbose: bool) -> None:
    if verbose:
        import traceback  # late, for the start-up of all other calls

        traceback.print_exc()
    click.echo(f"dfpipe: {message}", err=True)
    sys.exit(status)
