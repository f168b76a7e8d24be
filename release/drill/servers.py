"""The servers that drills speak to: Alertmanager and the receiver, over HTTP. Failures are DrillError."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.plaintext import plain
from release.drill.experiment import DrillError
from release.engine.receiver import Receiver as Asked
from release.engine.receiver import ReceiverError

TIMEOUT = aiohttp.ClientTimeout(total=10)


class Receiver(Struct, frozen=True, kw_only=True):
    """A running receiver, asked with the token `operate`."""

    asked: Asked

    async def get(self, path: str) -> Any:
        """The JSON body of a GET. Raises DrillError."""
        try:
            return await self.asked.get(path)
        except ReceiverError as error:
            raise DrillError(str(error)) from error

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON body of a POST's answer. Raises DrillError."""
        try:
            return await self.asked.post(path, body)
        except ReceiverError as error:
            raise DrillError(str(error)) from error


class Alertmanagers(Struct, frozen=True, kw_only=True):
    """Every Alertmanager of a cluster: Prometheus sends each alert to all of them. `headers` go with each request."""

    http: aiohttp.ClientSession
    urls: tuple[str, ...]
    headers: Mapping[str, str]

    async def ready(self) -> None:
        """Raise DrillError unless every Alertmanager is ready."""
        await asyncio.gather(*(self._ask("GET", f"{url}/-/ready") for url in self.urls))

    async def send(self, alert: Mapping[str, Any]) -> None:
        """Send an alert to every Alertmanager, as Prometheus does. Raises DrillError."""
        await asyncio.gather(*(self._ask("POST", f"{url}/api/v2/alerts", [alert]) for url in self.urls))

    async def _ask(self, method: str, url: str, body: Any = None) -> None:
        try:
            async with self.http.request(
                method, url, json=body, headers=self.headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                said = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DrillError(plain(f"{url} does not answer: {type(error).__name__} {error}", 200)) from error
        if answer.status != 200:
            raise DrillError(plain(f"{url} answered {answer.status}: {said}", 200))
