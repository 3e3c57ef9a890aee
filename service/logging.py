"""Structured logs: one JSON object a line, which Cloud Logging and most log shippers read."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record with whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line of JSON, with the fields of `extra`."""
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            values["trace"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str)


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Let this process log to the standard error output, or another stream."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Reports every connection that a handler closes.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
