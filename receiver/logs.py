"""JSON logs: one object per line on stderr, for Loki and ELK, harmless whatever a label holds.

Every record that is written during a request carries the request's `request_id` and `trace_id`.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from receiver.decide.model import NO_TRACE, Trace
from receiver.plaintext import plain

CURRENT: contextvars.ContextVar[Trace] = contextvars.ContextVar("trace", default=NO_TRACE)
"""Identifiers of the current request."""

SERVICE = "freezeline-receiver"

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LEVELS = {"CRITICAL": "ERROR"}

_encode = json.JSONEncoder(ensure_ascii=True, default=str, separators=(",", ":")).encode


class JsonFormatter(logging.Formatter):
    """One line of ASCII JSON per record; control characters and other scripts are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        trace = CURRENT.get()
        second, milliseconds = divmod(int(record.created * 1000), 1000)
        fields: dict[str, Any] = {
            "timestamp": f"{_second(second)}.{milliseconds:03d}Z",
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            "service": SERVICE,
        }
        if trace is not NO_TRACE:
            fields["request_id"], fields["trace_id"] = trace.request_id, trace.trace_id
        fields.update({key: value for key, value in record.__dict__.items() if key not in _PLAIN})
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return _encode(fields)


class UnreadableRequests(logging.Filter):
    """Makes aiohttp's traceback about a request that is no HTTP one line: the fault is the sender's, not ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and pass it on."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | RequestPayloadError):
            record.msg, record.args = "request.unreadable", ()
            record.error = plain(str(error), 200)
            record.exc_info, record.exc_text = None, None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def configure(stream: TextIO = sys.stderr, *, level: str = "INFO") -> None:
    """Send every log of this process to `stream` as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel("WARNING")
    server = logging.getLogger("aiohttp.server")
    server.filters[:] = [UnreadableRequests()]
