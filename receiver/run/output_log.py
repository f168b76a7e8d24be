"""A command's output in a file of limited size: the first 64 KiB and the last bytes. Standard library only.

Memory holds no output. While the command runs, the end of the output is a ring in the file behind the head. `close`
puts the ring in order and notes how much was left out.
"""

import contextlib
import os
from collections.abc import Iterator

from receiver.run import rundir

_COPY_BYTES = 64 * 1024


class OutputLog:
    """Writes `output.log`. A full disk loses output, which `trouble` says, but never stops the run."""

    def __init__(self, dir_fd: int, tail_max_bytes: int, head_bytes: int = rundir.OUTPUT_HEAD_BYTES) -> None:
        rundir.remove(dir_fd, rundir.OUTPUT)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(rundir.OUTPUT, flags, 0o600, dir_fd=dir_fd)
        self._dir_fd = dir_fd
        self._head_bytes = head_bytes
        self._tail_max_bytes = tail_max_bytes
        self.seen_bytes = 0
        self.trouble = ""

    def write(self, data: bytes) -> None:
        """Take the next piece of output."""
        try:
            while data and not self.trouble:
                data = data[self._write_piece(data) :]
        except OSError as error:
            self.trouble = f"output lost after {self.seen_bytes} bytes: {error.strerror}"

    def _write_piece(self, data: bytes) -> int:
        """Write as many bytes as go to the next place in the file, and return their number."""
        if self.seen_bytes < self._head_bytes:
            room, place = self._head_bytes - self.seen_bytes, self.seen_bytes
        elif self._tail_max_bytes == 0:
            self.seen_bytes += len(data)
            return len(data)
        else:
            at = (self.seen_bytes - self._head_bytes) % self._tail_max_bytes
            room, place = self._tail_max_bytes - at, self._head_bytes + at
        written = os.pwrite(self._fd, data[:room], place)
        self.seen_bytes += written
        return written

    def close(self) -> None:
        """Put the kept output in order."""
        try:
            if self.seen_bytes > self._head_bytes + self._tail_max_bytes and not self.trouble:
                self._straighten()
        except OSError as error:
            self.trouble = f"output is out of order: {error.strerror}"
        finally:
            os.close(self._fd)

    def _straighten(self) -> None:
        """Write head, marker and ring in their order into a new file, and give this file the name."""
        draft = rundir.write_draft(self._dir_fd, rundir.OUTPUT, b"")
        left_out = self.seen_bytes - self._head_bytes - self._tail_max_bytes
        split = (self.seen_bytes - self._head_bytes) % self._tail_max_bytes if self._tail_max_bytes else 0
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._dir_fd), "wb") as file:
                for piece in self._pieces(0, self._head_bytes):
                    file.write(piece)
                file.write(f"\n[… {left_out} bytes left out …]\n".encode())
                for piece in self._pieces(self._head_bytes + split, self._head_bytes + self._tail_max_bytes):
                    file.write(piece)
                for piece in self._pieces(self._head_bytes, self._head_bytes + split):
                    file.write(piece)
            os.rename(draft, rundir.OUTPUT, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)
        except OSError:
            with contextlib.suppress(OSError):
                rundir.remove(self._dir_fd, draft)
            raise

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            piece = os.pread(self._fd, min(_COPY_BYTES, end - start), start)
            if not piece:
                return
            yield piece
            start += len(piece)
