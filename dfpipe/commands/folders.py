"""The folder that `dfpipe demo` and `dfpipe try` keep posts and results in."""

import shutil
import sys
from pathlib import Path

from dfpipe.errors import DfpipeError


def make_folder(folder: Path) -> None:
    """Create a folder, if it is absent. Raises DfpipeError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DfpipeError(
            f"the folder {folder} cannot be made: {error.strerror}: name another with --folder"
        ) from error


def store_in(folder: Path) -> str:
    """Return the URL of the store in a folder."""
    return f"sqlite:///{folder / 'posts.db'}"


def sink_in(folder: Path) -> str:
    """Return the URL of the warehouse in a folder."""
    return f"duckdb:///{folder / 'results.duckdb'}"


def program_name() -> str:
    """Return how to call this program: by its path where it is not on the search path."""
    called = sys.argv[0]
    return called if Path(called).name == "dfpipe" and not shutil.which("dfpipe") else "dfpipe"
