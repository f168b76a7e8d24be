"""Short commands of a policy: legacy freezers, release identity, verification. Limited in time and output.

Rollbacks do not run here, but under their own runner process (`receiver.run.runs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from msgspec import Struct

OUTPUT_MAX_BYTES = 64 * 1024


class Answer(Struct, frozen=True, kw_only=True):
    """How a short command ended. Without an exit status `code` is None, and `why` says what happened."""

    code: int | None
    output: str
    why: str

    @property
    def ok(self) -> bool:
        """Whether it exited with status 0."""
        return self.code == 0


async def ask(argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str], cwd: str = "/") -> Answer:
    """Run a command to its end, or end its process group after `timeout_s`. A failing command raises no exception."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer(code=None, output="", why=f"{argv[0]} cannot be started: {error}")
    try:
        async with asyncio.timeout(timeout_s):
            output = await _read(process)
            code = await process.wait()
    except TimeoutError:
        await _end(process)
        return Answer(code=None, output="", why=f"{argv[0]} took longer than {timeout_s:g} s")
    except BaseException:
        await _end(process)
        raise
    text = output.decode(errors="replace")
    if code < 0:
        return Answer(code=None, output=text, why=f"{argv[0]} was ended by signal {-code}")
    return Answer(code=code, output=text, why=f"{argv[0]} exited with {code}")


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """The beginning of the output. The rest is read and dropped, so that the command never waits for a reader."""
    kept = b""
    if process.stdout is None:
        return kept
    while piece := await process.stdout.read(OUTPUT_MAX_BYTES):
        kept += piece[: OUTPUT_MAX_BYTES - len(kept)]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
