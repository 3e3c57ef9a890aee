"""Imports what runs a pipeline: quickly, and without Beam's warnings about missing libraries."""

import gc
import logging
from types import ModuleType


def import_launch() -> ModuleType:
    """Import dfpipe.launch, and with it Beam: that takes a second, which other commands do not pay.

    Without the extra `beam`, Beam warns that clients of Google's services are missing, which only
    jobs on Dataflow and files in buckets need.
    """
    # A sixth of the second is garbage collection that finds nothing; what the import made stays.
    gc.disable()
    logging.disable(logging.WARNING)
    try:
        from dfpipe import launch, memory
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()
    memory.tune()
    return launch
