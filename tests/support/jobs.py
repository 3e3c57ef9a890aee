"""What is to be launched, in tests of the ways to run a job."""

import sys
from typing import Any

from launcher.jobs import JobSpec
from tests.support.launcher_pages import SLOT

PYTHON = sys.executable


def spec(*command: str, kind: str = "local", name: str = "job-1", **fields: Any) -> JobSpec:
    """A job of a kind; its labels are those of the first attempt of a step."""
    labels = {"launcher-run": "run", "launcher-step": "step", "launcher-attempt": "1"}
    return JobSpec(name=name, kind=kind, slot=SLOT, command=command, labels=labels, **fields)


def python(code: str, **fields: Any) -> JobSpec:
    """A local job that runs Python code."""
    return spec(PYTHON, "-c", code, **fields)
