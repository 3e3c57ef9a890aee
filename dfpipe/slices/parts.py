"""Cutting a window into parts for the readers, at hours of the clock where slices are kept.

It imports little: a run starts its readers before it imports what they need.
"""

from typing import Any

from dfpipe.posts.slices import Reading, Window, time_slices
from dfpipe.slices import naming
from dfpipe.slices.folders import folder, is_local
from dfpipe.slices.hours import hour_parts, hours_of


def parts(reading: Reading, window: Window, n: int) -> list[Any]:
    """Cut a window into at most n parts for `tokens_of`."""
    return hour_parts(window, n) if reading.cache else time_slices(window, n)


def has_most_slices(reading: Reading, window: Window) -> bool:
    """Whether most hours of a window have slices on this machine, of whatever state."""
    if reading.cache is None or not is_local(reading.cache):
        return False
    hours = hours_of(window)
    first, last = naming.prefix_of(hours[0]), naming.prefix_of(hours[-1])
    files = folder(reading.cache).files(naming.folder_of(reading))
    places = filter(None, (naming.place_of(file.path) for file in files))
    return 2 * sum(first <= hour <= last for _, hour in places) > len(hours)
