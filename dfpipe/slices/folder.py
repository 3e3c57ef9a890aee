"""What a cache is to those who use it: a folder of files, wherever it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class File:
    """A file of a cache: its path in the cache, its bytes, and when it was written, in UTC."""

    path: str
    size: int
    written: datetime


class Folder(Protocol):
    """Files by their paths, relative and with at most one folder; every error is an OSError."""

    url: str

    def prepare(self) -> None:
        """Make the folder, or see that it is there."""

    def files(self, within: str = "") -> list[File]:
        """Return the files, or those in one folder; none if it does not exist."""

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raises OSError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole, or leave what was there."""

    def remove(self, paths: Collection[str]) -> None:
        """Remove files, of which some may be gone already."""
