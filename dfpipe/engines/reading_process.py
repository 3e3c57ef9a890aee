"""A process that reads slices of time for another: see read_ahead.py.

It gets a Reading and then time slices, pickled, at its standard input, and answers each of these at
its standard output with the list of its tokens. Where it fails it ends: the other process will try
again, and tell why.
"""

import pickle
import sys
from typing import BinaryIO

from dfpipe.posts.reading import Reader


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until nothing more is asked: EOFError, or BrokenPipeError where nobody listens."""
    reader = Reader(pickle.load(asked))  # noqa: S301  # our own
    while True:
        time_slice = pickle.load(asked)  # noqa: S301  # our own
        pickle.dump(list(reader.tokens(time_slice)), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
