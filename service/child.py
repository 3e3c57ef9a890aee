"""A child process: `python -m service.child MODULE ARGUMENTS...` runs a Python module.

It ends when the process that started it is gone, even if that was killed: its standard input is a
pipe whose other end closes then. See service.processes.start_child.
"""

import os
import runpy
import signal
import sys
import threading
import time

from service.processes import GRACE, signal_group


def end_with_starter() -> None:
    """Wait until the pipe closes, then end the process group of this process."""
    while os.read(0, 1):
        pass  # nobody writes
    signal_group(os.getpgrp(), signal.SIGTERM)
    time.sleep(GRACE)
    signal_group(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_starter, daemon=True).start()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
