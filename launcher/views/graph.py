"""The picture of a chain: the places of its steps, and the lines between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, ACROSS, DOWN, EDGE = 168, 46, 64, 16, 8  # of a box, between boxes, around all
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A step: its name and its upper left corner."""

    name: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The boxes, the lines as SVG paths, and the size of all, in pixels."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    width: int
    height: int


def draw(needs: Mapping[str, Sequence[str]]) -> Graph:
    """The picture of steps and what each needs, from left to right.

    A step is to the right of all that it needs. Names that are not steps are ignored.

    >>> [(box.name, box.x, box.y) for box in draw({"a": [], "b": ["a"]}).boxes]
    [('a', 8, 8), ('b', 240, 8)]
    """
    known = {name: [n for n in needs[name] if n in needs] for name in needs}
    columns = _ordered(_columns(known), known)
    height = max((_height(column) for column in columns), default=0)
    boxes = {
        name: Box(name, EDGE + place * (WIDTH + ACROSS), EDGE + (height - _height(column)) // 2 + y)
        for place, column in enumerate(columns)
        for name, y in zip(
            column, range(0, len(column) * (HEIGHT + DOWN), HEIGHT + DOWN), strict=True
        )
    }
    paths = tuple(_path(boxes[n], boxes[name]) for name in known for n in known[name])
    width = len(columns) * (WIDTH + ACROSS) - ACROSS if columns else 0
    return Graph(tuple(boxes.values()), paths, width + 2 * EDGE, height + 2 * EDGE)


def _columns(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The steps by the longest way that leads to each; what is in a cycle comes last."""
    columns: list[list[str]] = []
    placed: set[str] = set()
    while len(placed) < len(needs):
        column = [n for n in needs if n not in placed and placed.issuperset(needs[n])]
        column = column or [n for n in needs if n not in placed]
        columns.append(column)
        placed.update(column)
    return columns


def _ordered(
    columns: Sequence[Sequence[str]], needs: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """The columns with each step near those that it is joined to, for fewer crossings."""
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, before in needs.items():
        for n in before:
            needed_by[n].append(name)
    found = [list(column) for column in columns]
    for sweep in range(SWEEPS):
        joined, order = (needs, found) if sweep % 2 == 0 else (needed_by, found[::-1])
        for column in order:
            places = {n: i / len(other) for other in found for i, n in enumerate(other)}
            column.sort(key=lambda name: _middle(name, joined[name], places))
    return found


def _middle(name: str, joined: Sequence[str], places: Mapping[str, float]) -> float:
    return sum(places[n] for n in joined) / len(joined) if joined else places[name]


def _height(column: Sequence[str]) -> int:
    return len(column) * (HEIGHT + DOWN) - DOWN


def _path(start: Box, end: Box) -> str:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT // 2
    x2, y2 = end.x - 7, end.y + HEIGHT // 2
    bend = ACROSS // 2
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
