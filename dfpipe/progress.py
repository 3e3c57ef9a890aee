"""How far a run in this very process has come, for a line on the terminal."""

from dataclasses import dataclass


@dataclass
class Progress:
    """What the steps have told of themselves: posts read so far and the step at work."""

    posts: int = 0
    stage: str = "starting"


# Steps run in the runner's threads or in other processes, with nothing but the module in common.
# In another process nobody looks at it.
current = Progress()


def reset() -> None:
    """Begin a new run."""
    global current
    current = Progress()


def posts_read(n: int) -> None:
    """Add n posts read."""
    current.posts += n
    current.stage = "reading"


def stage(name: str) -> None:
    """Say what is being done."""
    current.stage = name
