"""The write-ahead log of a SQLite file that several processes may open for the first time at once."""

from __future__ import annotations

import sqlite3
import time

POLL_S = 0.02


def write_ahead(connection: sqlite3.Connection) -> None:
    """Give the file its log, and wait for others as long as the connection waits for their locks.

    Of two connections that begin the log at once, SQLite refuses one without waiting: both would wait for ever.
    """
    (wait_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    until = time.monotonic() + wait_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(POLL_S)
        else:
            return
