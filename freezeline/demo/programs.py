"""Programs that the demo starts: each with its log, ready when the log says so, and gone at the end."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from receiver.run.process_tree import die_with_parent

READY_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
POLL_S = 0.02
LOG_TAIL_LINES = 8

LISTENING = re.compile(r"listening on (http://\S+)")
PROMETHEUS_LISTENING = re.compile(r'msg="Listening on".* address=(\S+:[1-9]\d*)')


class DemoError(Exception):
    """Something that the demo needs is missing, does not start or stops answering; the message says what to do."""


class Program(Struct, frozen=True, kw_only=True):
    """A running program. `url` is where it listens; empty for one that does not."""

    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]


def find(name: str) -> str:
    """Path of a tool. Raises DemoError where it is not installed."""
    path = shutil.which(name)
    if path is None:
        hint = (
            "install it (Debian: apt install prometheus prometheus-alertmanager), or run ./dev demo, which fetches it"
        )
        raise DemoError(f"{name} is not on PATH; {hint}")
    return path


@asynccontextmanager
async def started(
    name: str, argv: Sequence[str], directory: Path, ready: re.Pattern[str] | None = LISTENING
) -> AsyncIterator[Program]:
    """A program from start to end. It is ready when its log matches `ready`, whose group is its address.

    It is in a session of its own, so that Ctrl-C reaches the demo alone, which then ends everything in order; and it
    dies with the demo where the system can do that. Raises DemoError where it does not get ready.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - takes milliseconds, and there is nothing else to do meanwhile
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - no other thread runs Python while the demo starts programs
        )
    try:
        url = await _listening(name, process, log, ready) if ready else ""
        yield Program(name=name, url=url, log=log, process=process)
    finally:
        await asyncio.shield(_stop(process))


async def _listening(name: str, process: subprocess.Popen[bytes], log: Path, ready: re.Pattern[str]) -> str:
    end = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < end:
        match = _search(log, ready)
        if match:
            address = match.group(1)
            return address if address.startswith("http") else f"http://{address}"
        if process.poll() is not None:
            raise DemoError(f"{name} ended with {process.returncode}:\n{_tail(log)}")
        await asyncio.sleep(POLL_S)
    raise DemoError(f"{name} is not ready after {READY_LIMIT_S:g} s:\n{_tail(log)}")


def _search(log: Path, ready: re.Pattern[str]) -> re.Match[str] | None:
    return ready.search(log.read_text(errors="replace"))


def _tail(log: Path) -> str:
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """TERM, and KILL where that was not enough."""
    if process.poll() is None:
        process.terminate()
    end = time.monotonic() + STOP_LIMIT_S
    while process.poll() is None:
        if time.monotonic() >= end:
            process.kill()
            process.wait(STOP_LIMIT_S)
        await asyncio.sleep(POLL_S)
