"""Files that a reader sees whole or not at all, even after a power loss.

write_whole(folder / "result.json", json.dumps(result))
token = private_folder(folder) / "token"
write_whole(token, secret, mode=0o600)
"""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

STALE = 3600.0  # seconds after which a temporary file must be that of a killed process


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Create or replace a file in one step; when this returns, the file is on the disk.

    The content goes to a temporary file beside it first, with the final `mode` from the start, and
    is synced before the rename, as is the folder after it. Temporary files that killed processes
    left of the same file are removed. Raises OSError, and then leaves the old file as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    _remove_stale(path)
    number, temporary = tempfile.mkstemp(prefix=_prefix(path), suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    # Also on Ctrl-C: the part would stay until it is stale.
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names that were created, renamed or removed in a folder survive a power loss."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def private_folder(folder: Path) -> Path:
    """Make a folder, if it is absent, that only its owner may enter; returns it.

    A folder that exists keeps its mode: its owner chose it. Raises OSError.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
    return folder


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _remove_stale(path: Path) -> None:
    for each in path.parent.glob(f"{_prefix(path)}*.part"):
        with suppress(OSError):
            if time.time() - each.stat().st_mtime > STALE:
                each.unlink()
