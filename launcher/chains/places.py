"""Placeholders in a step's parameters, such as {slot} or {analyse.job_id}, and filling them."""

import re
from collections.abc import Iterator, Mapping

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_]*)?")
# The values that every step has.
COMMON = ("slot", "execution", "chain", "store", "warehouse", "project", "region")
OLD_NAMES = ("run",)  # of `execution`


def places_in(text: str) -> Iterator[str]:
    """The names of the placeholders in a text. Raises ValueError for a single brace.

    >>> list(places_in("--until={slot} {{not a placeholder}}"))
    ['slot']
    """
    for match in _PLACE.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] is None or not _NAME.fullmatch(match[1]):
            raise ValueError(
                f"{match[0]!r} is not a placeholder: write one like {{slot}}, or {{{{ for a brace"
            )
        yield match[1]


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its placeholders filled. Raises KeyError for one that has no value.

    >>> filled("{slot} {{}}", {"slot": "2026"})
    '2026 {}'
    """

    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[0] in ("{{", "}}") else values[match[1]]

    return _PLACE.sub(value, text)
