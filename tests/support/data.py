"""The folder of real posts, which is kept outside of this tree."""

import os
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder named by DFPIPE_TEST_DATA, or ../shared/data; a skip where it is absent."""
    folder = Path(os.environ.get("DFPIPE_TEST_DATA", DEFAULT))
    if not folder.is_dir():
        pytest.skip(f"no real posts in {folder}: set DFPIPE_TEST_DATA to their folder")
    return folder
