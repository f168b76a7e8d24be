"""Starts the engine of a rollout as a process of its own, which outlives the receiver."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from receiver.run.run_environment import runner_environment


async def start(policy: Path, state: Path, prometheus: str, log: Path) -> asyncio.subprocess.Process:
    """Start `freezeline canary run`. The release command of the policy names the release. Raises OSError."""
    argv = (sys.executable, "-I", "-m", "freezeline", "canary", "run", str(policy))
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            *("--state", str(state), "--prometheus", prometheus),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            cwd="/",
            env=runner_environment(),
            start_new_session=True,
        )
    finally:
        os.close(fd)
