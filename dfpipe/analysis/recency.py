"""Counts of posts that also say how many of the posts are recent, each in one number.

Such a count is added up as any other number is, in Python and in numpy: a post adds 1, a recent
one RECENT besides. It has room for 2**31 posts.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

RECENT = 1 << 32
MOST_POSTS = 2**31 - 1

Count = TypeVar("Count", int, npt.NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many posts and distinct words a window has, and how many of the posts are recent."""

    posts: int
    recent: int = 0
    words: int = 0

    @property
    def before(self) -> int:
        """The posts that are not recent."""
        return self.posts - self.recent


def unit(is_recent: bool) -> int:
    """Return what one post adds to a count."""
    return 1 + RECENT if is_recent else 1


def total(count: Count) -> Count:
    """Return how many posts were counted.

    >>> total(3 * unit(True) + 2 * unit(False))
    5
    """
    return count % RECENT


def recent(count: Count) -> Count:
    """Return how many of the posts that were counted are recent.

    >>> recent(3 * unit(True) + 2 * unit(False))
    3
    """
    return count // RECENT
