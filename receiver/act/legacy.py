"""Legacy freezers, which follow the flag: a command, or a file in its own format."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from receiver.act import flagfile
from receiver.context import command_environment
from receiver.decide.model import Episode, stamp_ms
from receiver.policy.guard import UnsafeFileError, check_command
from receiver.policy.model import FreezeAction, LegacyCommand, LegacyFile
from receiver.run.commands import ask

_NAMES = re.compile(r"\{(reason|service|since)\}")


async def drive(freeze: FreezeAction | None, episode: Episode, *, on: bool) -> list[str]:
    """Switch every legacy freezer of an action on or off, even after one fails, and say which failed."""
    problems: list[str] = []
    for legacy in freeze.legacy if freeze else ():
        if isinstance(legacy, LegacyFile):
            problem = await asyncio.to_thread(_drive_file, legacy, episode, on=on)
        else:
            problem = await _drive_command(legacy, episode, on=on)
        if problem:
            problems.append(problem)
    return problems


async def _drive_command(legacy: LegacyCommand, episode: Episode, *, on: bool) -> str:
    argv = legacy.on if on else legacy.off
    try:
        check_command(argv[0])
    except UnsafeFileError as error:
        return str(error)
    env = command_environment(episode, legacy.env, action="freeze" if on else "unfreeze")
    answer = await ask(argv, timeout_s=legacy.timeout_s, env=env)
    return "" if answer.ok else answer.why


def _drive_file(legacy: LegacyFile, episode: Episode, *, on: bool) -> str:
    path = Path(legacy.file)
    try:
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return f"{path.parent}: {error.strerror}"
    try:
        if on:
            flagfile.write_in(fd, path.name, _fill(legacy.text, episode).encode())
        else:
            try:
                os.unlink(path.name, dir_fd=fd)
            except FileNotFoundError:
                return ""
            os.fsync(fd)
    except OSError as error:
        return f"{path}: {error.strerror}"
    finally:
        os.close(fd)
    return ""


def _fill(text: str, episode: Episode) -> str:
    """Fill in the three names in one pass, so that no value acts as a template."""
    values = {"reason": episode.reason, "service": episode.service, "since": stamp_ms(episode.opened_at)}
    return _NAMES.sub(lambda found: values[found[1]], text)
