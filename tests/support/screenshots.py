"""Pictures of pages as four kinds of screens show them, and what can be told of them."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.browser import DEADLINE_MS, note

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {"desktop": (1280, 900), "phone": (360, 780)}
SCHEMES = ("light", "dark")
# The browser decodes a picture: how many colours it has, and its mean brightness, 0 to 255.
_LOOK_AT = """
async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data;
  const colours = new Set();
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 4) {
    colours.add((bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2]);
    sum += bytes[i] + bytes[i + 1] + bytes[i + 2];
  }
  return {width: image.width, colours: colours.size, brightness: sum / (0.75 * bytes.length)};
}
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: its width in pixels, its number of colours and its brightness, 0 to 255."""

    width: int
    colours: int
    brightness: float


@contextmanager
def screen(browser: "Browser", size: str, scheme: Any) -> Iterator["Page"]:
    """A page on such a screen; a fault of its scripts, or a request to elsewhere, is an error."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: note(message, faults))
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    yield page
    context.close()
    assert faults == []
    assert hosts == {"127.0.0.1"}


def shoot(page: "Page", file: Path) -> Shot:
    """Take a picture of a whole page, which must not be wider than its screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    taken = page.screenshot(path=file, full_page=True)
    assert page.context.browser
    blank = page.context.browser.new_page()
    try:
        source = f"data:image/png;base64,{base64.b64encode(taken).decode()}"
        return Shot(**blank.evaluate(_LOOK_AT, source))
    finally:
        blank.close()
