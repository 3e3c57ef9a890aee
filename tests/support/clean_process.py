"""Modules of tests share processes, and in what order is chance: each leaves nothing bound."""

import logging
from collections.abc import Iterator

import pytest

from tests.support.launching import unbind


@pytest.fixture(scope="module", autouse=True)
def nothing_is_bound() -> Iterator[None]:
    """Unbind the process from the queues, workflows and launcher that a module has left."""
    yield
    unbind()


@pytest.fixture(scope="module", autouse=True)
def warnings_are_logged() -> Iterator[None]:
    """Put back the level of logging, which `dfpipe run` raises in the process that it runs in."""
    logging.getLogger().setLevel(logging.WARNING)
    yield
    logging.getLogger().setLevel(logging.WARNING)
