"""A personal archive's script files: v1.1 tweets in a JSON array, assigned to a variable."""

import re

_ASSIGNMENT = re.compile(rb"\s*(?:Grailbird\.data|window\.YTD)\.[\w.]+\s*=\s*")


def is_script(data: bytes) -> bool:
    """Return whether a file that begins with this data is such a script."""
    return _ASSIGNMENT.match(data) is not None


def unwrap(data: bytes) -> bytes:
    """Return the JSON text of a script, and anything else as it is.

    >>> unwrap(b'Grailbird.data.tweets_2011_12 = [ {"id_str": "1"} ]')
    b'[ {"id_str": "1"} ]'
    """
    return _ASSIGNMENT.sub(b"", data, count=1) if is_script(data) else data
