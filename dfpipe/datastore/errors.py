"""What can go wrong with a store."""

from dfpipe.errors import DfpipeError


class StoreError(DfpipeError):
    """The store cannot be opened, read or written."""


class DamageError(Exception):
    """The file is damaged; `Database.translated` turns this into a StoreError."""
