"""Users of the services. The load is light: its aim is something to watch."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import aiohttp

TIMEOUT_S = 30.0
CHATS_AMONG = 5
"""Each n-th request to the assistant is a message of a chat."""

TAKEN_OVER_AMONG = 3
"""Each n-th answer of the generation service is taken over by its user."""

USERS = 500
SENTENCES = ("a comedy before 1990", "more", "why?", "some drama", "another one", "something since 2000")
QUESTIONS = ("What is a burn rate?", "What does a freeze do?", "Who may unfreeze?", "When does a rollout end?")


async def assistant(http: aiohttp.ClientSession, url: str, per_second: float) -> None:
    """Recommendations, and some chats, until cancelled."""
    draw = random.Random(1)  # noqa: S311 - which user asks is no secret

    async def ask(number: int) -> None:
        user = draw.randrange(USERS)
        if number % CHATS_AMONG:
            await _post(http, f"{url}/api/v2/recommendations", {"user_id": user})
        else:
            said = {"message": draw.choice(SENTENCES), "user_id": user, "session_id": f"user-{user}"}
            await _post(http, f"{url}/api/v2/chat", said)

    await _paced(per_second, ask)


async def generation(http: aiohttp.ClientSession, url: str, per_second: float) -> None:
    """Questions; their users follow the answer, and take some answers over."""

    async def ask(number: int) -> None:
        put = await _post(http, f"{url}/api/v1/jobs", {"question": QUESTIONS[number % len(QUESTIONS)]})
        if put is None:
            return
        async with http.get(f"{url}/api/v1/jobs/{put['job']}/events", timeout=_limit()) as stream:
            await stream.read()
        if number % TAKEN_OVER_AMONG == 0:
            await _post(http, f"{url}/api/v1/jobs/{put['job']}/commit", {})

    await _paced(per_second, ask)


async def scripts(http: aiohttp.ClientSession, url: str, per_second: float) -> None:
    """Scripts, each a stream."""

    async def ask(number: int) -> None:
        await _post(http, f"{url}/api/v1/scripts", {"topic": QUESTIONS[number % len(QUESTIONS)]})

    await _paced(per_second, ask)


async def _paced(per_second: float, act: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Begin acts evenly until cancelled. A slow answer delays no other request, and a failure ends nothing."""

    async def one(number: int) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # the service counts its failures itself
            await act(number)

    async with asyncio.TaskGroup() as under_way:
        async for number in _ticks(per_second):
            under_way.create_task(one(number))


async def _ticks(per_second: float) -> AsyncIterator[int]:
    clock = asyncio.get_running_loop().time
    due_at = clock()
    for number in itertools.count():
        due_at = max(due_at + 1 / per_second, clock() - 1)
        await asyncio.sleep(max(due_at - clock(), 0))
        yield number


async def _post(http: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer if it is JSON; None for a stream, and if the service refuses."""
    async with http.post(url, json=dict(body), timeout=_limit()) as answer:
        await answer.read()
        if answer.status >= 400 or answer.content_type != "application/json":
            return None
        found: dict[str, Any] = await answer.json()
        return found


def _limit() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=TIMEOUT_S)
