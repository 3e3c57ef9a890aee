"""Stop signals."""

import signal
from collections.abc import Callable


def on_stop(stop: Callable[[], None]) -> None:
    """Call it at SIGTERM and Ctrl-C; at a second Ctrl-C the process is interrupted at once."""

    def handle(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
