"""Questions to Prometheus: samples of a query, firing alerts, and the rules that are loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.plaintext import plain

TIMEOUT_S = 10.0
ANSWER_MAX_BYTES = 64 * 1024 * 1024


class SourceError(Exception):
    """A server did not answer, or its answer makes no sense. The message is text for people."""


class Sample(Struct, frozen=True, kw_only=True):
    """One sample of an instant query. `at_s` is Unix time in seconds; `value` may be NaN or infinite."""

    labels: Mapping[str, str]
    value: Decimal
    at_s: float


class FiringAlert(Struct, frozen=True, kw_only=True):
    """One alert that Prometheus holds as firing. `active_at` is the time that Prometheus writes."""

    labels: Mapping[str, str]
    active_at: str


class LoadedRule(Struct, frozen=True, kw_only=True):
    """One rule that Prometheus runs. `health` is "ok", "err" or "unknown"; `error` says what went wrong last."""

    group: str
    name: str
    query: str
    health: str
    error: str


class Prometheus:
    """One Prometheus, or another server with the same query API. `headers` carry tokens and tenants."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = dict(headers or {})

    async def samples(self, query: str, *, at_s: float | None = None) -> tuple[Sample, ...]:
        """Every sample of an instant query, now or at a Unix time. Raises SourceError."""
        form = {"query": query} | ({} if at_s is None else {"time": repr(at_s)})
        data = await self._ask("POST", "/api/v1/query", form)
        try:
            if data["resultType"] in {"scalar", "string"}:
                return (_sample({}, data["result"]),)
            return tuple(_sample(series["metric"], series["value"]) for series in data["result"])
        except (KeyError, IndexError, TypeError, ValueError, InvalidOperation) as error:
            raise SourceError("Prometheus gave no vector") from error

    async def firing_alerts(self) -> tuple[FiringAlert, ...]:
        """Every alert that fires now; pending alerts are left out. Raises SourceError."""
        data = await self._ask("GET", "/api/v1/alerts")
        try:
            return tuple(
                FiringAlert(labels=dict(one["labels"]), active_at=str(one.get("activeAt", "")))
                for one in data["alerts"]
                if one["state"] == "firing"
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError("Prometheus gave no list of alerts") from error

    async def rules(self) -> tuple[LoadedRule, ...]:
        """Every rule that is loaded, in the order of the groups. Raises SourceError."""
        data = await self._ask("GET", "/api/v1/rules")
        try:
            return tuple(
                LoadedRule(
                    group=str(group["name"]),
                    name=str(rule["name"]),
                    query=str(rule["query"]),
                    health=str(rule["health"]),
                    error=str(rule.get("lastError") or ""),
                )
                for group in data["groups"]
                for rule in group["rules"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise SourceError("Prometheus gave no list of rules") from error

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Any:
        """The `data` of an answer. Raises SourceError for anything but an answer of success."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.request(
                method, self._url + path, data=form, headers=self._headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.content.read(ANSWER_MAX_BYTES + 1)
                while len(body) <= ANSWER_MAX_BYTES and (more := await response.content.read(ANSWER_MAX_BYTES)):
                    body += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SourceError(plain(f"Prometheus cannot be asked: {type(error).__name__} {error}", 200)) from error
        if len(body) > ANSWER_MAX_BYTES:
            raise SourceError(f"Prometheus answered more than {ANSWER_MAX_BYTES} bytes")
        return _data(body, status)


def _data(body: bytes, status: int) -> Any:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise SourceError(f"Prometheus answered {status} without JSON") from error
    if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        raise SourceError(plain(f"Prometheus answered {status}: {said}", 300))
    return answer["data"]


def _sample(labels: Mapping[str, str], pair: Any) -> Sample:
    return Sample(labels=dict(labels), value=Decimal(str(pair[1])), at_s=float(pair[0]))
