"""Drawings as SVG that need no script and no style of their own.

A page colors them by their class, `spark`: in it, the `rect` is the shade over the recent part, and
the `path` the bars. Without a style sheet, as in an e-mail, they have the color of the text.
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
    # A unit for each count and for two pixels of its height make a short path: a page has many.
    units, levels = len(counts) or 1, height // 2
    return Svg(
        f'<svg class="spark" viewBox="0 0 {units} {levels}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" fill="currentColor" role="img" aria-label="{escape(label)}">'
        + _shade(round(units * recent, 2), units, levels)
        + f'<path d="{outline(counts, units, levels)}"/></svg>'
    )


def _shade(start: float, width: int, height: int) -> str:
    if start >= width:
        return ""
    return f'<rect x="{start:g}" width="{width - start:g}" height="{height}" fill-opacity=".1"/>'


def outline(counts: Sequence[int], width: int, height: int) -> str:
    """Return the path around bars side by side, which is shorter than one of each bar.

    Heights are whole numbers. A count above 0 is seen, however small it is beside the highest.
    Moves are relative, which takes fewer digits.

    >>> outline([0, 4, 4, 1], 8, 10)
    'M0 10h2v-10h4v8H8V10Z'
    >>> outline([], 8, 10)
    'M0 10V10Z'
    """
    most = max(counts, default=0) or 1
    path, level, x = [f"M0 {height}"], height, 0.0
    for place, count in enumerate(counts):
        top = round(height - max(height * count / most, 1 if count else 0))
        if top != level:
            left = round(width * place / len(counts), 1)
            path.append(f"h{round(left - x, 1):g}" if place else "")
            path.append(f"v{top - level}")
            level, x = top, left
    path.append(f"H{width}" if counts else "")
    return "".join(path) + f"V{height}Z"
