"""Stories as text for a terminal: a line each, and a timeline drawn in characters."""

from datetime import datetime

from dfpipe.analysis.level import LEVEL
from dfpipe.analysis.parts import PARTS, columns
from dfpipe.commands.query import readable
from dfpipe.warehouse import Warehouse
from dfpipe.warehouse.named_queries import ResultRow

BARS = " ▁▂▃▄▅▆▇█"
LARGEST, RISING = 5, 3  # stories that a run ends with


def closing_lines(warehouse: Warehouse, ts: datetime) -> list[str]:
    """Return what a run has found: its largest stories, and those that rise most."""
    with warehouse.reading():
        stories = warehouse.query("stories", ts=ts).dicts()[:LARGEST]
        rising = warehouse.query("rising_stories", ts=ts).dicts()[:RISING]
    lines = ["Stories:", *map(line, stories)] if stories else ["No stories."]
    return [*lines, "Rising:", *map(line, rising)] if rising else lines


def line(story: ResultRow) -> str:
    """Return a story in one line."""
    return f"  {readable(story['words'])}: {size(story)}{rise(story)}"


def size(story: ResultRow) -> str:
    """Return how many posts and people a story has."""
    people = "person" if story["users"] == 1 else "people"
    return f"{story['posts']:,} posts by {story['users']:,} {people}"


def rise(story: ResultRow) -> str:
    """Return by how much a story's share has risen, empty if it does not rise."""
    if story["score"] <= 0 or story["p_value"] >= LEVEL:
        return ""
    times = f"×{story['times']:.1f}" if story["before"] else "new"
    return f", {times} in the recent part"


def bars(story: ResultRow, run: ResultRow, width: int = PARTS) -> str:
    """Draw a story's timeline over the window of its run, so many characters wide.

    >>> day = [datetime(2026, 3, 5, hour) for hour in (0, 12)]
    >>> run = {"window_start": day[0], "window_end": datetime(2026, 3, 6)}
    >>> bars({"parts": day, "counts": [8, 4]}, run, 4)
    '|█ ▄ |'
    """
    window = run["window_start"], run["window_end"]
    counts = columns(story["parts"], story["counts"], *window, width)
    most = max(counts) or 1
    return "|" + "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts) + "|"
