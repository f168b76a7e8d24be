"""Watches one command: reads its output, keeps its deadline, ends its whole tree. Standard library only."""

import os
import selectors
import signal
import subprocess
import time
from datetime import datetime

from receiver.run import process_tree, rundir
from receiver.run.output_log import OutputLog
from receiver.run.process_tree import Ended
from receiver.run.rundir import Order, Outcome, Result

TICK_S = 0.2
"""The longest time between two looks at the deadline and the cancel file."""

KILL_LEAD_MAX_S = 0.2
"""KILL comes so many seconds before the end of the grace, at most a tenth of the grace, so that it suffices."""

KILL_LIMIT_S = 5.0
"""How long killed processes may take to go. Only a process that is stuck in the kernel takes longer."""

DRAIN_LIMIT_S = 1.0
"""How long output is still read after the end, because a background process may write for ever."""

READ_BYTES = 64 * 1024


class Watch:
    """A command from its start to its end.

    If the system can make this process a subreaper, orphans become its children, and "no child left" means that nothing
    is left. Other systems show only the command's process group.
    """

    def __init__(self, dir_fd: int, order: Order) -> None:
        self._dir_fd = dir_fd
        self._order = order
        self._log = OutputLog(dir_fd, order.output_max_bytes)
        self._adopts = process_tree.become_subreaper()
        self._output, self._output_end = os.pipe()
        self._wake, self._wake_end = os.pipe()
        self._child: subprocess.Popen[bytes] | None = None
        self._status: int | None = None  # as Popen.returncode: below 0 for a signal
        self._childless = False
        self._ending: Outcome | None = None  # Why the command is being ended; None while the command runs freely.
        self._reason = ""
        self._told_to_stop = False
        self._looked_at = 0.0
        self._deadline = 0.0
        self._kill_at = 0.0
        self._ended: Ended | None = None
        self._started_at: datetime | None = None

    def start(self) -> None:
        """Start the command. Raises OSError, ValueError or SubprocessError if the start fails."""
        self._listen()
        self._started_at = rundir.now()
        try:
            self._child = subprocess.Popen(
                self._order.argv,
                cwd=self._order.cwd,
                env={**self._order.env, rundir.RUN_MARK: self._order.nonce},
                stdin=subprocess.DEVNULL,
                stdout=self._output_end,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=process_tree.die_with_parent(),  # noqa: PLW1509 - the runner has a single thread
            )
        finally:
            self._deadline = time.monotonic() + self._order.timeout_s
            os.close(self._output_end)

    def _listen(self) -> None:
        """Let signals wake the loop: the end of a child, and TERM, which orders the end of the command."""
        for fd in (self._output, self._wake, self._wake_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, *_: object) -> None:
        self._told_to_stop = True

    def until_over(self) -> None:
        """Return when the command has ended. If the runner had to end the command, everything below is gone too."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._is_over():
                for key, _ in selector.select(self._pause_s()):
                    if key.fd == self._wake:
                        os.read(self._wake, READ_BYTES)
                    elif not self._read():
                        selector.unregister(self._output)
                self._reap()
                self._look()
        self._drain()

    def _is_over(self) -> bool:
        if self._ending is None:
            return self._status is not None
        return self._ended is not None or (self._status is not None and self._nothing_left())

    def _nothing_left(self) -> bool:
        return self._childless if self._adopts else not process_tree.group_exists(self._group)

    @property
    def _group(self) -> int:
        return self._child.pid if self._child else 0

    def _pause_s(self) -> float:
        until = self._deadline if self._ending is None else self._kill_at
        return max(min(TICK_S, until - time.monotonic()), 0)

    def _read(self) -> bool:
        """Read one piece of output; False at the end of the output."""
        try:
            data = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return True
        self._log.write(data)
        return bool(data)

    def _drain(self) -> None:
        """Read what the command had written before its end."""
        end = time.monotonic() + DRAIN_LIMIT_S
        while time.monotonic() < end:
            try:
                data = os.read(self._output, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            self._log.write(data)

    def _reap(self) -> None:
        """Collect every ended child, also adopted ones."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._status = self._child.returncode = os.waitstatus_to_exitcode(status)

    def _look(self) -> None:
        """Begin to end a command that was cancelled or is out of time; KILL after the grace."""
        now = time.monotonic()
        if self._ending is None and self._status is None:
            if now >= self._deadline:
                self._begin_to_end(Outcome.TIMED_OUT, f"took longer than {self._order.timeout_s:g} s")
            elif self._told_to_stop:
                self._begin_to_end(Outcome.CANCELLED, "the runner was told to stop (SIGTERM)")
            elif now - self._looked_at >= TICK_S:
                self._looked_at = now
                if rundir.exists(self._dir_fd, rundir.CANCEL):
                    self._begin_to_end(Outcome.CANCELLED, rundir.read_cancel(self._dir_fd))
        elif self._ending is not None and now >= self._kill_at:
            self._kill()

    def _begin_to_end(self, outcome: Outcome, reason: str) -> None:
        self._ending, self._reason = outcome, reason
        lead_s = min(KILL_LEAD_MAX_S, self._order.grace_s / 10)
        self._kill_at = time.monotonic() + self._order.grace_s - lead_s
        process_tree.send_group(self._group, signal.SIGTERM)

    def _kill(self) -> None:
        if self._adopts:
            self._ended = process_tree.kill_all(
                lambda: process_tree.descendants(os.getpid()), limit_s=KILL_LIMIT_S, reap=self._reap
            )
            return
        self._ended = process_tree.kill_group(self._group, limit_s=KILL_LIMIT_S, reap=self._reap)

    def close(self) -> None:
        """Put the output in order. The process's end closes the descriptors."""
        os.close(self._output)
        self._log.close()

    def result(self) -> Result:
        """How the command ended. Call this only after the end."""
        status = self._status
        ended = self._ended or Ended(killed=0, left=0)
        natural = Outcome.SIGNALLED if status is not None and status < 0 else Outcome.EXITED
        return Result(
            nonce=self._order.nonce,
            outcome=self._ending or natural,
            code=status if status is not None and status >= 0 else None,
            signal=-status if status is not None and status < 0 else None,
            started_at=self._started_at,
            ended_at=rundir.now(),
            killed=ended.killed,
            left=ended.left,
            reason="; ".join(filter(None, (self._reason, self._log.trouble))),
        )
