"""A process of the system: `python -m system.child MODULE WORDS...` runs a package.

It ends when the process that started it is gone, also where that was killed and could tell nobody:
its standard input is a pipe whose other end closes then.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE = 20.0  # seconds to end in, before it is killed


def end_with_starter() -> None:
    """Wait until the pipe closes, then end this process and those of its group."""
    while os.read(0, 1):
        pass  # nobody writes
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_starter, daemon=True).start()
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
