"""What can go wrong with a store."""

from dfpipe.errors import DfpipeError


class StoreError(DfpipeError):
    """The store cannot be opened, read or written."""


class DamageError(Exception):
    """What was read is not what was written; `Database.translated` makes a StoreError of it."""
