"""What can go wrong with a store."""

from dfpipe.errors import DfpipeError


class StoreError(DfpipeError):
    """The store cannot be opened, read or written."""


class UnwritableError(StoreError):
    """The file, its folder or its file system is read-only."""


class DamageError(Exception):
    """The file is damaged; `Database.translated` turns this into a StoreError."""
