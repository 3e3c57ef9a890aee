"""The named queries: their descriptions, parameters and SQL."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from dfpipe.errors import UsageError
from dfpipe.times import EXPECTED, parse_time

FOLDER = Path(__file__).parent / "queries"
# The dialect that they are written in. Folders in this one hold translations, which
# dfpipe.warehouse.translate makes: sqlglot takes longer to import than a query to answer.
WRITTEN = "bigquery"
PARAMETER = re.compile(
    r"param (?P<name>\w+) (?P<kind>\w+)(?: = (?P<default>\S+))?: (?P<answers>.+)"
)
# Which runs a query compares: the newest with all `older` ones, by its parameter `since`; or `all`
# runs with each other.
COMPARES = re.compile(r"compares: (?P<runs>older|all)")
# The columns that fit a terminal, where there are many: JSON and CSV have all of them.
TABLE = re.compile(r"table: (?P<columns>\w+(, \w+)*)")
# More than anyone needs, but as hours still within the range of a TIMESTAMP.
INT64_LIMIT = 1_000_000

# A row of an answer: its values by the names of the columns, of the types that these have.
ResultRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query; required unless it has a default, which may be NULL."""

    name: str
    kind: str  # STRING, INT64 or TIMESTAMP
    default: str | None
    answers: str

    def value(self, given: object) -> Any:
        """Convert a text or a Python value to the parameter's type. Raises UsageError."""
        if self.default == "NULL" and given is None:
            return None
        if self.kind == "STRING" and isinstance(given, str):
            return given
        if self.kind == "INT64" and re.fullmatch(r"[0-9]{1,7}", str(given)):
            number = int(str(given))
            if number <= INT64_LIMIT:
                return number
        if self.kind == "TIMESTAMP" and (moment := _moment(given)):
            return moment
        forms = {
            "STRING": "a text",
            "INT64": f"a whole number from 0 to {INT64_LIMIT}",
            "TIMESTAMP": EXPECTED,
        }
        raise UsageError(f"parameter {self.name}={given}: give {forms[self.kind]}")


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query: `answers` describes it in one line, `notes` has the details."""

    name: str
    answers: str
    notes: str
    parameters: tuple[Parameter, ...]
    compares: str | None = None  # older or all
    table_columns: tuple[str, ...] = ()  # those that a table shows; empty for all

    def bind(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the value of every parameter. Raises UsageError, which lists the parameters."""
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                known = f"its parameters are {', '.join(names)}" if names else "it has none"
                raise UsageError(f"query {self.name} has no parameter {name}: {known}")
        return {parameter.name: self._value(parameter, given) for parameter in self.parameters}

    def _value(self, parameter: Parameter, given: Mapping[str, object]) -> object:
        if parameter.name in given:
            return parameter.value(given[parameter.name])
        if parameter.default is None:
            raise UsageError(
                f"query {self.name} needs {parameter.name}, {parameter.answers}: "
                f"give --param {parameter.name}=..."
            )
        return parameter.value(None if parameter.default == "NULL" else parameter.default)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a query: column names, and rows in order with aware times in UTC."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, columns: Iterable[str], rows: Iterable[Sequence[object]]) -> "Result":
        """Return the result of a driver's columns and rows."""
        # Most values are neither, and a page of the launcher asks for some ten thousand.
        times = datetime, list
        return cls(
            tuple(columns),
            tuple(tuple([_in_utc(v) if isinstance(v, times) else v for v in row]) for row in rows),
        )

    def dicts(self) -> list[ResultRow]:
        """Return each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def names() -> list[str]:
    """Return the names of all queries in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


@cache
def load(name: str) -> NamedQuery:
    """Return a query by its name. Raises UsageError, which suggests names."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(names())}"
        raise UsageError(f"there is no query {name!r}: {hint}")
    return parse(name, sql(name))


@cache
def sql(name: str, dialect: str = WRITTEN) -> str:
    """Return the text of a query in a dialect, by sqlglot's name for it.

    A query without a translation means the same in every dialect.
    """
    translated = folder_of(dialect) / f"{name}.sql"
    path = translated if translated.exists() else FOLDER / translated.name
    return path.read_text(encoding="utf-8")


def folder_of(dialect: str) -> Path:
    """Return where the queries in a dialect are."""
    return FOLDER if dialect == WRITTEN else FOLDER / dialect


def parse(name: str, text: str) -> NamedQuery:
    r"""Parse a query's leading comment: a line on what it answers, notes, and its parameters.

    >>> parse("n", "-- Words.\n-- param since INT64 = 24: hours\nSELECT 1").parameters
    (Parameter(name='since', kind='INT64', default='24', answers='hours'),)
    """
    comment = [line[3:] for line in text.splitlines() if line.startswith("-- ")]
    parameters, notes, compares, columns = [], [], None, ()
    for line in comment[1:]:
        if found := PARAMETER.fullmatch(line):
            parameters.append(Parameter(**found.groupdict()))
        elif found := COMPARES.fullmatch(line):
            compares = found["runs"]
        elif found := TABLE.fullmatch(line):
            columns = tuple(found["columns"].split(", "))
        else:
            notes.append(line)
    return NamedQuery(name, comment[0], " ".join(notes), tuple(parameters), compares, columns)


def _moment(given: object) -> datetime | None:
    """Return an aware time in UTC; None for anything else."""
    try:
        moment = given if isinstance(given, datetime) else parse_time(str(given))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _in_utc(value: object) -> object:
    if isinstance(value, list):
        return list(map(_in_utc, value))
    return value.astimezone(UTC) if isinstance(value, datetime) else value
