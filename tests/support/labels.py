"""Names of test cases that are the same in every process, as pytest-xdist wants them."""

import re


def label(value: object) -> str:
    """Return a value as Python writes it, without an address in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
