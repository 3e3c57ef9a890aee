"""Plotly's JavaScript, served from the installed package."""

import gzip
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from flask import Blueprint, Response, abort, request

YEAR = 365 * 24 * 3600  # seconds
# The library writes a style for maps into the page unless an element has this id. There are no maps
# here, and the browser would refuse the style.
MAP_STYLE_ID = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"


def install(pages: Blueprint) -> None:
    """Add the route of the library; its address has the version, so that it may be kept."""
    # The version is not a variable part of the rule: other versions do not exist.
    pages.add_url_rule(f"/pages/plotly-{metadata.version('plotly')}.js", "plotly", _serve)
    pages.app_context_processor(lambda: {"map_style_id": MAP_STYLE_ID})


def _serve() -> Response:
    is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = Response(_packed() if is_packed else _path().read_bytes())
    response.headers["Content-Type"] = "text/javascript; charset=utf-8"
    response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
    response.headers["Vary"] = "Accept-Encoding"
    if is_packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


@lru_cache(1)
def _packed() -> bytes:
    """A third of the size; made once for each process, in some tenths of a second."""
    return gzip.compress(_path().read_bytes(), 6, mtime=0)


def _path() -> Path:
    # Found without the import of the package, which takes long and is not needed.
    found = util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        abort(404)
    return Path(found.submodule_search_locations[0], "package_data", "plotly.min.js")
