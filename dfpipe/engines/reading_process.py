"""A process that reads time slices for another one: see read_ahead.py.

It reads a Reading and then time slices, pickled, from standard input, and writes the list of tokens
of each slice to standard output. If it fails, it ends; the other process retries the slice and
reports the error.
"""

import pickle
import signal
import sys
from typing import BinaryIO

from dfpipe import memory
from dfpipe.slices.reader import tokens_of


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until EOFError, or BrokenPipeError if nobody reads the answers."""
    tokens = tokens_of(pickle.load(asked))  # noqa: S301  # our own
    while True:
        time_slice = pickle.load(asked)  # noqa: S301  # our own
        pickle.dump(list(tokens(time_slice)), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    memory.tune()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    serve(sys.stdin.buffer, sys.stdout.buffer)
