"""Queries to other servers: Prometheus for the conditions to unfreeze, Alertmanager for alerts.

Only addresses from receiver.yaml are queried, never an address from an alert.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.decide.model import Alert, AlertStatus
from receiver.plaintext import plain
from receiver.policy.model import Condition
from receiver.webhook.ingest import read_time

TIMEOUT = aiohttp.ClientTimeout(total=5)
ANSWER_MAX_BYTES = 16 * 1024 * 1024
FUTURE_MAX_S = 60.0
"""How far the clocks of Prometheus and the receiver may differ."""

_OPERATORS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


class SourceError(Exception):
    """Another server did not answer, or its answer makes no sense."""


class Judgement(Struct, frozen=True, kw_only=True):
    """Whether a condition is true now, and why not."""

    true: bool
    why: str


class Known(Struct, frozen=True, kw_only=True):
    """What one Alertmanager knows. `settled`: it has run for long enough to know every firing alert."""

    alerts: Mapping[str, Alert]
    ours: frozenset[str]
    settled: bool


class Prometheus:
    """One Prometheus, or another server with the same query API."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, token_file: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._http = http
        self._url = url
        self._headers = dict(headers or {})
        self._token_file = token_file

    async def judge(self, condition: Condition, now: datetime) -> Judgement:
        """Whether every sample of the query meets the condition. No answer, NaN, errors and old samples do not."""
        try:
            values = await self._query(condition.query)
            times = await self._query(f"timestamp({condition.query})") if values else []
        except SourceError as error:
            return Judgement(true=False, why=str(error))
        return judge(condition, values, times, now)

    async def _query(self, query: str) -> list[str]:
        """Values of an instant query, as texts."""
        if not self._url:
            raise SourceError("no Prometheus in receiver.yaml")
        headers = _sent(self._headers)
        if self._token_file:
            headers["Authorization"] = f"Bearer {_secret(self._token_file)}"
        body = await _fetch(
            self._http.post(
                f"{self._url}/api/v1/query",
                data={"query": query},
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        )
        try:
            data = body["data"]
            if data["resultType"] == "scalar":
                return [str(data["result"][1])]
            return [str(series["value"][1]) for series in data["result"]]
        except (KeyError, IndexError, TypeError) as error:
            raise SourceError("Prometheus gave no vector") from error

    async def check(self) -> str:
        """Ask whether Prometheus answers; "" if so, else what is wrong."""
        try:
            await self._query("vector(1)")
        except SourceError as error:
            return str(error)
        return ""


def judge(condition: Condition, values: Sequence[str], times: Sequence[str], now: datetime) -> Judgement:
    """Compare samples with a condition: pure. `times` are the samples' times, in seconds."""
    if not values:
        return Judgement(true=False, why="no data")
    seconds = [_seconds(text) for text in times]
    if not seconds or any(not math.isfinite(one) for one in seconds):
        return Judgement(true=False, why="a sample's time is no number")
    if now.timestamp() - min(seconds) > condition.max_age_s:
        return Judgement(true=False, why=f"older than {condition.max_age_s:g} s")
    if max(seconds) - now.timestamp() > FUTURE_MAX_S:
        return Judgement(true=False, why="a sample is from the future")
    for text in values:
        try:
            value = Decimal(text)
        except InvalidOperation:
            return Judgement(true=False, why=f"{plain(text, 20)} is no number")
        if value.is_nan() or not _OPERATORS[condition.op](value, condition.value):
            return Judgement(true=False, why=f"{plain(text, 20)} is not {condition.op} {condition.value}")
    return Judgement(true=True, why="")


def _seconds(text: str) -> float:
    """A sample's time; NaN if the text is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class Alertmanager:
    """One Alertmanager."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        receiver: str,
        settle_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = http
        self._headers = dict(headers or {})
        self.url = url
        self._receiver = receiver
        self._settle_s = settle_s

    async def known(self, now: datetime) -> Known:
        """Every alert of this Alertmanager, also silenced and inhibited alerts. Raises SourceError."""
        status = await self._ask("/api/v2/status")
        flags = "active=true&silenced=true&inhibited=true&unprocessed=true"
        raw = await self._ask(f"/api/v2/alerts?{flags}")
        try:
            up_s = (now - read_time(status["uptime"])).total_seconds()
            alerts = {entry["fingerprint"]: entry for entry in raw}
            ours = frozenset(
                fingerprint
                for fingerprint, entry in alerts.items()
                if entry["status"]["state"] == "active"
                and any(one["name"] == self._receiver for one in entry["receivers"])
            )
            return Known(
                alerts={fingerprint: _alert(entry, now) for fingerprint, entry in alerts.items()},
                ours=ours,
                settled=up_s >= self._settle_s,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(f"{self.url}: not an answer of Alertmanager") from error

    async def check(self) -> str:
        """Ask whether Alertmanager answers; "" if so, else what is wrong."""
        try:
            await self._ask("/api/v2/status")
        except SourceError as error:
            return str(error)
        return ""

    async def _ask(self, path: str) -> Any:
        headers = _sent(self._headers)
        request = self._http.get(f"{self.url}{path}", headers=headers, timeout=TIMEOUT, allow_redirects=False)
        return await _fetch(request)


def _alert(entry: Mapping[str, Any], now: datetime) -> Alert:
    """One alert of the answer. An alert whose start makes no sense fires all the same: it began by now."""
    try:
        starts_at = read_time(entry["startsAt"]).astimezone(UTC)
    except ValueError:
        starts_at = now
    return Alert(
        fingerprint=str(entry["fingerprint"]),
        status=AlertStatus.FIRING,
        labels={str(name): str(value) for name, value in entry["labels"].items()},
        annotations={str(name): str(value) for name, value in entry.get("annotations", {}).items()},
        starts_at=starts_at,
        ends_at=None,
    )


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request, with the values that files hold, as the files are now. Raises SourceError."""
    return {name: _secret(value[1:]) if value.startswith("@") else value for name, value in headers.items()}


def _secret(path: str) -> str:
    """The one line of a file. Raises SourceError, which names the file and never its content."""
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read") from error
    if not text.isascii() or not text.isprintable():
        raise SourceError(f"{path}: must hold one line of ASCII text")
    return text


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, which must not be too long, whatever its headers say."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            raise SourceError(f"{response.url.host} answered more than {ANSWER_MAX_BYTES} bytes")
    return bytes(body)


async def _fetch(request: Any) -> Any:
    """The JSON body of a request that this function sends. Raises SourceError for anything but 200 with JSON."""
    try:
        async with request as response:
            if response.status != 200:
                raise SourceError(f"{response.url.host} answered {response.status}")
            return json.loads(await _limited(response))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
        raise SourceError(plain(f"cannot be asked: {type(error).__name__} {error}", 200)) from error
