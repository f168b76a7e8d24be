"""HAProxy's runtime socket: one connection, one command, one answer."""

from __future__ import annotations

import asyncio

from release.traffic.adapter import TrafficError
from release.traffic.runtime import Ask

TIMEOUT_S = 5.0
ANSWER_MAX_BYTES = 16 * 1024 * 1024


def unix_socket(path: str) -> Ask:
    """A question to the socket at a path. A command with a line break is refused, because it would be two commands."""

    async def ask(command: str) -> str:
        if any(mark in command for mark in "\n\r;"):
            raise TrafficError("a command of HAProxy is one line")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await _ask(path, command)
        except (OSError, TimeoutError, UnicodeDecodeError) as error:
            raise TrafficError(f"{path} does not answer: {type(error).__name__} {error}") from error

    return ask


async def _ask(path: str, command: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_MAX_BYTES)
    try:
        writer.write(command.encode() + b"\n")
        await writer.drain()
        answer = await reader.read(ANSWER_MAX_BYTES)
        while more := await reader.read(ANSWER_MAX_BYTES):
            answer += more
            if len(answer) > ANSWER_MAX_BYTES:
                raise TrafficError(f"{path} answered more than {ANSWER_MAX_BYTES} bytes")
        return answer.decode()
    finally:
        writer.close()
