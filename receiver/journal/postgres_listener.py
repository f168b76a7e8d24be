"""Hears of the commits of other receivers, through PostgreSQL's LISTEN.

A notification only saves time: the writer looks for news every half second anyway. A pooler in transaction mode loses
LISTEN without a word, so the listener first sends itself a notification, and warns if none arrives.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable

import psycopg

from receiver.journal.postgres_connection import Wire

log = logging.getLogger(__name__)

CHANNEL = "freezeline"

TURN_S = 0.2
"""How often the listener looks whether it should stop."""

REST_S = 1.0
"""How long the listener rests after it lost its connection."""

JOIN_S = 2.0

TEST_S = 3.0
"""How long a notification may take at the start."""


class Listener:
    """A thread with a connection of its own, which it leaves when the connection `is_old`.

    `name` marks the notifications of this receiver, which it ignores.
    """

    def __init__(self, connect: Callable[[], Wire], *, is_old: Callable[[Wire], bool]) -> None:
        self._connect = connect
        self._is_old = is_old
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.name = secrets.token_hex(8)

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to listen."""
        self._thread = threading.Thread(target=self._run, args=(wake,), name="journal-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self, wake: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(psycopg.Error), contextlib.closing(self._connect()) as wire:
                self._listen(wire, wake)
            self._stopping.wait(REST_S)

    def _listen(self, wire: Wire, wake: Callable[[], None]) -> None:
        wire.execute(f"LISTEN {CHANNEL}".encode())
        test = f"test {self.name}"
        with contextlib.closing(self._connect()) as other:  # a pooler may give both clients one server
            other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, test))
        if not any(heard.payload == test for heard in wire.notifies(timeout=TEST_S)):
            log.warning("journal.deaf", extra={"why": "no notification arrives. Name the server, not a pooler"})
        wake()  # for what was committed before
        while not self._stopping.is_set() and not self._is_old(wire):
            for heard in wire.notifies(timeout=TURN_S):
                if heard.payload != self.name and not heard.payload.startswith("test "):
                    wake()
