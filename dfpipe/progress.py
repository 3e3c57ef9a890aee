"""The progress of a run in this process, for a line on the terminal."""

from dataclasses import dataclass


@dataclass
class Progress:
    """The posts read so far, and the step at work."""

    posts: int = 0
    stage: str = "starting"


# The steps run in the runner's threads and share nothing else. In other processes nobody reads it.
current = Progress()


def reset() -> None:
    """Begin a new run, with no posts read."""
    global current
    current = Progress()


def posts_read(n: int) -> None:
    """Count n more posts as read, which is then the step at work."""
    current.posts += n
    current.stage = "reading"


def stage(name: str) -> None:
    """Set the name of the step at work, which the terminal shows."""
    current.stage = name
