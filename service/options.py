"""Options that the commands of several services have."""

import math
from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

STORE_VARIABLE = "DFPIPE_STORE"
STORE = click.option(
    "--store",
    metavar="URL",
    envvar=STORE_VARIABLE,
    show_envvar=True,
    help="sqlite:///FILE or datastore://PROJECT?namespace=N.",
)
MOST_SECONDS = 7 * 24 * 3600  # as long as a lease may be
FORMATS = ("table", "json", "csv")


def format_option(default: str = "table") -> Callable[[Command], Command]:
    """Give a command --format, which it takes as `format_`, and --json, its short form."""

    def decorate(command: Command) -> Command:
        command = click.option("--json", "format_", flag_value="json", hidden=True)(command)
        return click.option(
            "--format",
            "format_",
            type=click.Choice(FORMATS),
            default=default,
            show_default=True,
            help="What to print; csv has a header.",
        )(command)

    return decorate


def limit_option(default: int | None, most: int | None = None) -> Callable[[Command], Command]:
    """Give a command --limit, by default `default`; None means all rows."""
    return click.option(
        "--limit",
        type=click.IntRange(1, most),
        default=default,
        show_default=default is not None,
        help="The most rows to print." + ("  [default: all]" if default is None else ""),
    )


LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
)


class Seconds(click.FloatRange):
    """A number of seconds, at most a week."""

    def __init__(self, low: float) -> None:
        super().__init__(low, MOST_SECONDS)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number; refuses NaN, which every range accepts."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number
