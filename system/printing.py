"""Prints the lines of the system's processes for people."""

import json
import os
import threading

import click

from service.tables import printable

COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red")


class Printer:
    """Prints lines with the names of their processes, each in its own color. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # click takes colors out where the output is not a terminal, but does not know NO_COLOR.
        self._is_colored = not os.environ.get("NO_COLOR")
        self._colors: dict[str, str] = {}

    def __call__(self, name: str, line: str) -> None:
        """Print a line under the name of its process."""
        with self._lock:
            color = self._colors.setdefault(name, COLORS[len(self._colors) % len(COLORS)])
            head = f"{name:<10}"
            head = click.style(head, fg=color) if self._is_colored else head
            for part in readable(line).splitlines():
                click.echo(f"{head} | {printable(part)}")


def readable(line: str) -> str:
    """A line for people: the time, the message and the other fields of a JSON log record.

    >>> readable('{"time": "2026-01-07T11:00:00.5", "severity": "INFO", "message": "a", "n": 1}')
    '11:00:00 a n=1'
    """
    try:
        record = json.loads(line)
        time, message = record.pop("time")[11:19], record.pop("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    severity = record.pop("severity", "INFO")
    record.pop("logger", None)
    trace = record.pop("trace", "")
    parts = [time, *[severity] * (severity != "INFO"), message]
    parts += [f"{name}={value}" for name, value in record.items()]
    return " ".join(map(str, parts)) + (f"\n{trace}" if trace else "")
