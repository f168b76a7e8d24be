"""Logs as JSON lines on stderr, each with the request and the trace that it belongs to."""

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
TRACE_ID: contextvars.ContextVar[str] = contextvars.ContextVar("trace_id", default="")


class JsonFormatter(logging.Formatter):
    """One line per record; what a caller passes as `extra={"fields": …}` stands beside the fixed fields."""

    def __init__(self, service: str, **always: str) -> None:
        super().__init__()
        self._always = {"service": service, **always}

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
            "trace_id": TRACE_ID.get(),
            **self._always,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(service: str, level: str, **always: str) -> None:
    """Send all logs of this process to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, **always))
    logging.basicConfig(level=level, handlers=[handler], force=True)
