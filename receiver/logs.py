"""JSON logs: one object per line on stderr, for Loki and ELK, harmless whatever a label holds.

Every record that is written during a request carries the request's `request_id` and `trace_id`.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import re
import sys
import time
from collections.abc import Callable
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


class Once(logging.Filter):
    """Lets each warning and error through once in `EVERY_S`, and then says how often the same came meanwhile.

    Two records are the same if they differ only in numbers. A fault that repeats a thousand times a second must not
    fill the disk.
    """

    EVERY_S = 60.0
    KNOWN_MAX = 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._known: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        if record.levelno < logging.WARNING or getattr(record, "action", "") == "request":
            return True
        now, key = self._clock(), _sameness(record)
        said_at, left_out = self._known.get(key, (float("-inf"), 0))
        if now < said_at + self.EVERY_S:
            self._known[key] = (said_at, left_out + 1)
            return False
        if len(self._known) >= self.KNOWN_MAX:
            self._known.clear()
        self._known[key] = (now, 0)
        if left_out:
            record.repeated = left_out
        return True


_NUMBERS = re.compile(r"[0-9a-fx]*[0-9][0-9a-fx]*")


def _sameness(record: logging.LogRecord) -> tuple[object, ...]:
    """What a record says, without its numbers: addresses, counts and durations differ each time."""
    extras = {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
    said = _NUMBERS.sub("", f"{record.getMessage()[:500]} {sorted(extras.items(), key=str)}"[:2000])
    return record.name, record.levelno, said, record.exc_info[0] if record.exc_info else None


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def configure(stream: TextIO = sys.stderr, *, level: str = "INFO") -> None:
    """Send every log of this process to `stream` as JSON."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Once())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel("WARNING")
    server = logging.getLogger("aiohttp.server")
    server.filters[:] = [UnreadableRequests()]
