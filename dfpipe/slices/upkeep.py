"""What a cache holds, and what of it can go."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from dfpipe.slices import files, naming
from dfpipe.slices.folder import File, Folder

# A run that is writing a file is younger than that.
UNFINISHED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """The slices of a store in one text mode, with the same stop words, by one version."""

    folder: str
    source: str
    text: str
    hours: int
    first: str
    last: str
    size: int


def kept(cache: Folder) -> Iterator[Kept]:
    """Yield what the folders of a cache hold, in the order of their names."""
    found = [(naming.place_of(file.path), file) for file in cache.files()]
    slices = sorted(((place, file) for place, file in found if place), key=lambda each: each[0])
    for folder, group in groupby(slices, key=lambda each: each[0][0]):
        places, some = zip(*group, strict=True)
        about = files.about(cache.read(some[-1].path))
        yield Kept(
            folder,
            about.get("dfpipe.source", "?"),
            about.get("dfpipe.text", "?"),
            len({hour for _, hour in places}),
            places[0][1],
            places[-1][1],
            sum(file.size for file in some),
        )


def old(found: Iterable[File], before: datetime, now: datetime) -> list[File]:
    """Return slices written before a time, and what runs that were killed have left."""
    return [
        file
        for file in found
        if file.written < (before if naming.place_of(file.path) else now - UNFINISHED)
    ]
