"""The installed command, run as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DFPIPE = [sys.executable, "-m", "dfpipe"]
# In its environment a process finds no network, but for this machine.
OFFLINE = {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
_SETTINGS = ("DFPIPE_", "DATASTORE_EMULATOR_", "BIGQUERY_EMULATOR_")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without the settings of dfpipe, and with some more."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_SETTINGS)}
    return {**kept, **(extra or {})}


def dfpipe(
    *argv: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: str = "",
    seconds: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*DFPIPE, *argv],
        cwd=cwd,
        env=environment(env),
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
