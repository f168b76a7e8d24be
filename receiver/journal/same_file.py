"""Notices that somebody deleted, replaced or truncated the journal under the running receiver.

SQLite goes on writing into a deleted file without an error. Whatever the receiver then acknowledges is lost with the
process. The writer therefore looks after every commit, before anybody gets an answer.
"""

from __future__ import annotations

import os
from pathlib import Path

DATABASE_MAGIC = b"SQLite format 3\x00"
LOG_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""The first bytes of a write-ahead log, for both byte orders of its checksums."""


class JournalLostError(Exception):
    """The journal on disk is no longer the journal that the receiver opened. The message says how."""


class SameFile:
    """The files of one open journal. Closing a file drops all of SQLite's locks on it, so `close` comes last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(f"{path.name}-wal")
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._log_fd: int | None = None
        self._size = 0

    def close(self) -> None:
        """Close the files, after SQLite has closed its own."""
        os.close(self._fd)
        if self._log_fd is not None:
            os.close(self._log_fd)

    def check(self) -> None:
        """Raise JournalLostError if the files on disk are not those that SQLite writes."""
        self._require_same(self._path, self._fd)
        size = os.fstat(self._fd).st_size
        if size < self._size:
            raise JournalLostError(f"{self._path} was truncated")
        self._size = size
        if size and os.pread(self._fd, len(DATABASE_MAGIC), 0) != DATABASE_MAGIC:
            raise JournalLostError(f"{self._path} was overwritten: it is no SQLite database any more")
        self._check_log()

    def _check_log(self) -> None:
        if self._log_fd is None:
            if not self._log_path.exists():
                return  # Nothing was written yet.
            self._log_fd = os.open(self._log_path, os.O_RDONLY | os.O_CLOEXEC)
        self._require_same(self._log_path, self._log_fd)
        begins = os.pread(self._log_fd, 4, 0)
        if begins and begins not in LOG_MAGICS:
            raise JournalLostError(f"{self._log_path} was truncated or overwritten")

    @staticmethod
    def _require_same(path: Path, fd: int) -> None:
        ours = os.fstat(fd)
        try:
            there = path.stat()
        except OSError as error:
            raise JournalLostError(f"{path} is gone: {error.strerror}") from error
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise JournalLostError(f"{path} was replaced by another file")
