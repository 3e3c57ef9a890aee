"""The process that submits the analysis: `python -m launcher.jobs.submit OPTIONS`.

It ends as soon as the job is submitted, and does not wait for it.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from dfpipe.errors import DfpipeError


def submit(argv: Sequence[str]) -> str:
    """Submit the analysis with these options; returns the job's id. Raises DfpipeError."""
    from dfpipe import launch, pipeline, warehouse
    from dfpipe.engines import staging
    from dfpipe.options import settings

    options = launch.parse(argv, os.environ)
    chosen = settings(options, datetime.now(UTC))
    warehouse.connect(chosen.sink).prepare()
    with staging.staged(options):
        result = pipeline.submit(chosen, options, time.time())
    # The launcher of a template asks for the job's description in a file: there is no job yet.
    if not getattr(result, "has_job", True):
        return ""
    return str(getattr(result, "job_id", lambda: "")() or "")


def main() -> None:
    """Submit the analysis of the command line."""
    logging.basicConfig(level=logging.INFO)
    try:
        sys.stdout.write(f"submitted: {submit(sys.argv[1:])}\n")
    except DfpipeError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
