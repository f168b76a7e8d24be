"""Requests to the receiver: take a release back, how that ended, tell people, and whether the service is frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.plaintext import plain

TIMEOUT_S = 10.0

Locate = Callable[[], tuple[str, str]]
"""Gives the receiver's address and the token, anew for each request: a restarted receiver may have another address."""


class ReceiverError(Exception):
    """The receiver did not answer, or refused. `status` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Receiver(Struct, frozen=True, kw_only=True):
    """One receiver. `locate` raises OSError or ValueError where nobody can tell the address or the token."""

    http: aiohttp.ClientSession
    locate: Locate

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON body of a GET. Raises ReceiverError."""
        return await self._ask("GET", path, query, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON body of a POST's answer. Raises ReceiverError."""
        return await self._ask("POST", path, None, body)

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> Any:
        try:
            url, token = self.locate()
            async with self.http.request(
                method,
                url + path,
                params=query,
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                status = response.status
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ReceiverError(plain(f"the receiver cannot be asked: {type(error).__name__} {error}", 200)) from error
        if status not in {200, 202}:
            said = answer.get("error", "") if isinstance(answer, dict) else ""
            raise ReceiverError(plain(f"the receiver answered {status}: {said}", 300), status)
        return answer
