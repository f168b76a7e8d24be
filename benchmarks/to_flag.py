"""From the POST of a webhook to the flag on disk, with a plain write + fsync + rename after each."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving import post, prepare, send, server

WAIT_S = 30.0


def _firing(number: int) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": "FailureRateHigh", "service": "gateway", "number": str(number)},
        "annotations": {"summary": "failure rate 2.31 % > 0.5 %"},
        "startsAt": "2026-11-21T08:17:42Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number + 2**60:016x}",
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


def _plain_write(directory: Path, text: bytes) -> float:
    begun = time.perf_counter()
    temporary = directory / "plain.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, text)
    os.fsync(fd)
    os.close(fd)
    temporary.rename(directory / "plain")
    return time.perf_counter() - begun


@contextmanager
def _watched(directory: Path) -> Iterator[Callable[[str, Callable[[], bool]], float]]:
    """A wait for something that a renamed or removed file of a directory brings; when it was so.

    The kernel sends a signal. A loop that looks again and again would take a core from what it measures.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.fcntl(fd, fcntl.F_NOTIFY, fcntl.DN_RENAME | fcntl.DN_DELETE | fcntl.DN_MULTISHOT)

    def until(what: str, is_so: Callable[[], bool]) -> float:
        while signal.sigtimedwait({signal.SIGIO}, WAIT_S) is not None:
            now = time.perf_counter()
            if is_so():
                return now
        raise SystemExit(f"not in {WAIT_S:g} s: {what}")

    try:
        yield until
    finally:
        os.close(fd)


def _until_at_rest(journal: Path) -> None:
    """An alert finds the receiver with nothing else to do, as nearly always; and so does the plain write."""
    from receiver.journal import open_view  # noqa: PLC0415 - every process of load imports this module

    view, connection = open_view(journal)
    end = time.monotonic() + WAIT_S
    while view.unfinished_actions():
        time.sleep(0.001)
        if time.monotonic() > end:
            raise SystemExit(f"not at rest in {WAIT_S:g} s")
    connection.close()


def to_flag(directory: Path, kind: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from POST to the flag's being visible, and of write + fsync + rename, in turns."""
    directory.mkdir()
    prepare(directory)
    flag = directory / "flags" / "FREEZE.FLAG"
    flag.parent.mkdir()
    flag.parent.chmod(0o755)
    flags, writes = [], []
    with server(kind, directory) as url, _watched(flag.parent) as until:
        webhook, operate = ((directory / "state" / "tokens" / role).read_text() for role in ("webhook", "operate"))
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        for number in range(rounds + 10):
            data = _firing(number)
            begun = time.perf_counter()
            send(connection, "/webhook", webhook, data)
            there = until("the flag is there", flag.exists)
            connection.getresponse().read()
            flags.append(there - begun)
            text = flag.read_bytes()
            post(connection, "/api/v1/unfreeze", operate, b'{"service": "gateway", "reason": "bench"}')
            until("the flag is gone", lambda: not flag.exists())
            _until_at_rest(directory / "state" / "journal.db")
            writes.append(_plain_write(directory, text))
    return sorted(flags[10:]), sorted(writes[10:])


def p99(sorted_times: list[float]) -> float:
    """The 99th percentile."""
    return sorted_times[len(sorted_times) * 99 // 100]
