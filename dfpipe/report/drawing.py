"""Drawings as SVG that need no script and no style of their own.

A page colors them by their classes: `spark`, and in it `recent`, the shade over the recent part,
and `bars`. Without a style sheet, as in an e-mail, they have the color of the text.
"""

from collections.abc import Sequence
from html import escape


class Svg(str):
    """An SVG element. Templates insert it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the element: what it was made of is escaped already."""
        return str(self)


def sparkline(
    counts: Sequence[int],
    label: str,
    *,
    recent: float = 1.0,
    width: int = 192,
    height: int = 32,
) -> Svg:
    """Draw counts as bars side by side, the highest as high as the drawing.

    `label` is what a screen reader says instead. `recent` is where the recent part begins, 0 to 1
    from left to right; at 1 there is none.
    """
    # A unit for each count, which makes a short path: a page has many of them.
    units = len(counts) or 1
    return Svg(
        f'<svg class="spark" viewBox="0 0 {units} {height}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        + _shade(round(units * recent, 2), units, height)
        + f'<path class="bars" fill="currentColor" d="{outline(counts, units, height)}"/></svg>'
    )


def _shade(start: float, width: int, height: int) -> str:
    if start >= width:
        return ""
    return (
        f'<rect class="recent" x="{start:g}" width="{width - start:g}" height="{height}" '
        'fill="currentColor" fill-opacity="0.1"/>'
    )


def outline(counts: Sequence[int], width: int, height: int) -> str:
    """Return the path around bars side by side, which is shorter than one of each bar.

    Heights are whole numbers. A count above 0 is seen, however small it is beside the highest.

    >>> outline([0, 4, 4, 1], 8, 10)
    'M0 10H2V0H6V8H8V10Z'
    >>> outline([], 8, 10)
    'M0 10V10Z'
    """
    most = max(counts, default=0) or 1
    path, level = [f"M0 {height}"], height
    for place, count in enumerate(counts):
        top = round(height - max(height * count / most, 1 if count else 0))
        if top != level:
            path.append(f"H{round(width * place / len(counts), 1):g}" if place else "")
            path.append(f"V{top}")
            level = top
    path.append(f"H{width}" if counts else "")
    return "".join(path) + f"V{height}Z"
