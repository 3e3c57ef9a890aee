"""Options that the commands of several services have."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
