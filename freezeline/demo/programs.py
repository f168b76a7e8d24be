"""The programs that the demo starts: each has a log, is ready when the log says so, and is gone at the end."""

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from receiver.run.process_tree import die_with_parent

READY_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
POLL_S = 0.02

NEEDS = {
    "prometheus": ("prometheus prometheus-alertmanager", ""),
    "alertmanager": ("prometheus prometheus-alertmanager", ""),
    "haproxy": ("haproxy", " --canary"),
}
"""Tool → Debian's packages with it, and the options of ./dev demo that fetch it."""

DAEMONS = ("/usr/sbin",)
"""Where Debian puts servers, although PATH need not lead there."""

LOG_TAIL_LINES = 8

LISTENING = re.compile(r"listening on (http://\S+)")
PROMETHEUS_LISTENING = re.compile(r'msg="Listening on".* address=(\S+:[1-9]\d*)')


class DemoError(Exception):
    """The demo lacks something, or a program does not start or stops answering; the message says what to do."""


class Program(Struct, frozen=True, kw_only=True):
    """A running program. `url` is its address; empty for a program that does not listen."""

    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]


def find(name: str) -> str:
    """The path of a tool. Raises DemoError if the tool is not installed."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *DAEMONS)))
    if path is None:
        packages, option = NEEDS.get(name, (name, ""))
        hint = f"install it (Debian: apt install {packages}), or run ./dev demo{option}, which fetches it"
        raise DemoError(f"{name} is not on PATH; {hint}")
    return path


@asynccontextmanager
async def started(
    name: str,
    argv: Sequence[str],
    directory: Path,
    ready: re.Pattern[str] | None = LISTENING,
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[Program]:
    """A program from start to end. The program is ready when its log matches `ready`, whose group is its address.

    The program finds `more` in its environment.

    The program has a session of its own: Ctrl-C reaches only the demo, which then ends everything in order. The program
    dies with the demo if the system supports that. Raises DemoError if the program does not become ready.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - takes milliseconds, and there is nothing else to do meanwhile
            argv,
            cwd=directory,
            env={**os.environ, **(more or {})},
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
            raise DemoError(f"{name} ended with exit code {process.returncode}:\n{tail(log)}")
        await asyncio.sleep(POLL_S)
    raise DemoError(f"{name} is not ready after {READY_LIMIT_S:g} s:\n{tail(log)}")


def _search(log: Path, ready: re.Pattern[str]) -> re.Match[str] | None:
    return ready.search(log.read_text(errors="replace"))


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """Send TERM, and KILL if TERM was not enough."""
    if process.poll() is None:
        process.terminate()
    end = time.monotonic() + STOP_LIMIT_S
    while process.poll() is None:
        if time.monotonic() >= end:
            process.kill()
            process.wait(STOP_LIMIT_S)
        await asyncio.sleep(POLL_S)
