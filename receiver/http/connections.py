"""Limits on connections: how many there may be, and how long a request may take to arrive.

Each connection is a file descriptor. A process whose descriptors are used up writes no flag, starts no rollback and
accepts no webhook. A reserve of descriptors is therefore never given to connections.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable

CONNECTIONS_MAX = 512
RESERVE = 256
"""Descriptors for flags, journal, runners, notices and questions to other servers."""

CONNECTIONS_MIN = 16

HEADER_LIMIT_S = 10.0
"""How long a client may take to send its first request line and headers."""

KEEP_ALIVE_S = 20.0
"""How long an idle connection stays open after an answer."""

ACCEPTED_AT_ONCE = 128
"""How many connections the event loop accepts before the gate sees the first of them. Less than the reserve."""

END_OF_HEADERS = b"\r\n\r\n"


def connections_max() -> int:
    """How many connections the limit of descriptors of this process allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(CONNECTIONS_MIN, min(CONNECTIONS_MAX, soft - RESERVE))


class Gate:
    """Lets connections in. When there are too many, one that has sent no whole request yet is dropped first."""

    def __init__(self, serve: Callable[[], asyncio.Protocol], *, most: int, header_limit_s: float) -> None:
        self._serve = serve
        self._most = most
        self._header_limit_s = header_limit_s
        self._half_open: dict[Connection, None] = {}  # The oldest comes first.
        self._count = 0

    def __call__(self) -> asyncio.Protocol:
        """Make the protocol of a new connection, as `loop.create_server` asks."""
        return Connection(self, self._serve())

    def begins(self, connection: Connection) -> bool:
        """Count a new connection. If there is no room, the answer is False and the connection must end."""
        self._count += 1
        if self._count > self._most:
            oldest = next(iter(self._half_open), None)
            if oldest is None:
                return False
            oldest.drop()
        self._half_open[connection] = None
        loop = asyncio.get_running_loop()
        connection.timer = loop.call_later(self._header_limit_s, connection.drop)
        return True

    def has_asked(self, connection: Connection) -> None:
        """A connection has sent its first request."""
        self._half_open.pop(connection, None)

    def ends(self, connection: Connection) -> None:
        """A connection is closed."""
        self._half_open.pop(connection, None)
        self._count -= 1


class Connection(asyncio.Protocol):
    """Stands before the HTTP server's own protocol until a client has sent a whole request."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol) -> None:
        self._gate = gate
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._asked = False
        self.timer: asyncio.TimerHandle | None = None

    def drop(self) -> None:
        """Close the connection at once: its client has not sent a whole request in time."""
        self._gate.has_asked(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the connection on, if there is room for it."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._inner.connection_made(transport)
        if not self._gate.begins(self):
            self.drop()

    def data_received(self, data: bytes) -> None:
        """Pass data on, and note when the first request has its headers."""
        if not self._asked:
            self._tail = (self._tail + data)[-len(END_OF_HEADERS) - len(data) :]
            if END_OF_HEADERS in self._tail:
                self._asked, self._tail = True, b""
                self._stop_timer()
                self._gate.has_asked(self)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that the client sends no more."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Pass on that the connection is gone."""
        self._stop_timer()
        self._gate.ends(self)
        self._inner.connection_lost(error)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
