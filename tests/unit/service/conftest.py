"""What several tests of requests use."""

import base64

import pytest


@pytest.fixture(scope="session")
def nested_jwt() -> str:
    """A token whose header is JSON too deep for the parser."""
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    return f"{deep}.{deep}.e30"
