"""Importing Beam on a laptop: nothing is printed about libraries of Google's services."""

import subprocess
import sys

from tests.support.processes import ROOT

# Without the libraries of the extra `beam`.
PROGRAM = """
import gc, logging, sys
from tests.support.worker_program import Refusing, can_import, needed
sys.meta_path.insert(0, Refusing(needed(["dfpipe[local]"])))
assert not can_import("apitools")
from dfpipe.importing import import_launch
assert import_launch().launch
assert gc.isenabled() and logging.getLogger("dfpipe").isEnabledFor(logging.WARNING)
"""


def test_beam_is_imported_without_a_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
