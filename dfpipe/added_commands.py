"""The subcommands that installed distributions add to `dfpipe`.

They are entry points of the group `dfpipe.commands`: an object `module:command` each. To list them
imports these modules, so they should import little.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

GROUP = "dfpipe.commands"


class AddedCommand(NamedTuple):
    """A subcommand of another distribution; `extras` install what the command needs to run."""

    name: str
    value: str  # module:attribute
    extras: tuple[str, ...] = ()

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.value.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def added_commands(path: Iterable[str] | None = None) -> dict[str, AddedCommand]:
    """Return the added subcommands on `path` (sys.path), by name; the first of a name counts.

    Read from the files of the entry points: importlib.metadata, which does the same, would take
    half of the time of `dfpipe --help` to import.
    """
    found: dict[str, AddedCommand] = {}
    for folder in sys.path if path is None else path:
        for file in sorted(Path(folder).glob("*.*-info/entry_points.txt")):
            for command in _commands_in(file.read_text(encoding="utf-8")):
                found.setdefault(command.name, command)
    return found


def _commands_in(text: str) -> Iterator[AddedCommand]:
    section = text.partition(f"[{GROUP}]\n")[2].partition("\n[")[0]
    for line in section.splitlines():
        name, _, target = line.partition("=")
        value, _, extras = target.partition("[")
        if value:
            names = extras.strip(" ]").replace(",", " ").split()
            yield AddedCommand(name.strip(), value.strip(), tuple(names))
