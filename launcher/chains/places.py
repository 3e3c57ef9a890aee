"""Places in the parameters of a step, as {slot} or {analyse.job_id}, and filling them."""

import re
from collections.abc import Iterator, Mapping

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_]*)?")
# The values that every step has.
COMMON = ("slot", "execution", "chain", "store", "warehouse", "project", "region")
OLD_NAMES = ("run",)  # of `execution`


def places_in(text: str) -> Iterator[str]:
    """The names of the places in a text. Raises ValueError for a brace that stands alone.

    >>> list(places_in("--until={slot} {{this is no place}}"))
    ['slot']
    """
    for match in _PLACE.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] is None or not _NAME.fullmatch(match[1]):
            raise ValueError(f"{match[0]!r} is no place: write {{slot}}, or {{{{ for a brace")
        yield match[1]


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its places filled. Raises KeyError for one that has no value.

    >>> filled("{slot} {{}}", {"slot": "2026"})
    '2026 {}'
    """

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[0] in ("{{", "}}") else values[match[1]]

    return _PLACE.sub(value, text)
