"""Questions to Prometheus: samples of a query, firing alerts, and the rules that are loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.plaintext import plain
from receiver.sources.asking import Headers, Limits, SourceError, ask

ROOMY = Limits(seconds=10.0, most_bytes=64 * 1024 * 1024)
"""For raw samples, which are many."""


class Sample(Struct, frozen=True, kw_only=True):
    """One sample of an instant query. `at_s` is Unix time in seconds; `value` may be NaN or infinite."""

    labels: Mapping[str, str]
    value: Decimal
    at_s: float


class Series(Struct, frozen=True, kw_only=True):
    """The raw samples of one series in the order of time, as pairs of Unix seconds and value."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, Decimal], ...]


class FiringAlert(Struct, frozen=True, kw_only=True):
    """One alert that Prometheus holds as firing. `active_at` is the time that Prometheus writes.

    `summary` is the annotation with the present value.
    """

    labels: Mapping[str, str]
    active_at: str
    summary: str = ""


class LoadedRule(Struct, frozen=True, kw_only=True):
    """One rule that Prometheus runs. `health` is "ok", "err" or "unknown"; `error` says what went wrong last."""

    group: str
    name: str
    query: str
    health: str
    error: str


class Prometheus:
    """One Prometheus, or another server with the same query API. `headers` give tokens and tenants."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, headers: Headers = dict, *, limits: Limits = ROOMY
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = headers
        self._limits = limits

    async def check(self) -> str:
        """Ask whether Prometheus answers; "" if so, else what is wrong."""
        try:
            await self.samples("vector(1)")
        except SourceError as error:
            return str(error)
        return ""

    async def samples(self, query: str, *, at_s: float | None = None) -> tuple[Sample, ...]:
        """Every sample of an instant query, now or at a Unix time. Raises SourceError."""
        form = {"query": query} | ({} if at_s is None else {"time": repr(at_s)})
        data = await self._ask("POST", "/api/v1/query", form)
        try:
            if data["resultType"] in {"scalar", "string"}:
                return (_sample({}, data["result"]),)
            return tuple(_sample(series["metric"], series["value"]) for series in data["result"])
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
            raise SourceError("Prometheus gave no vector") from error

    async def raw(self, query: str, *, at_s: float) -> tuple[Series, ...]:
        """The raw samples of a query with a range such as `selector[5m]`, up to a Unix time. Raises SourceError."""
        return await self._matrix("/api/v1/query", {"query": query, "time": repr(at_s)})

    async def over(self, query: str, *, start_s: float, end_s: float, step_s: float) -> tuple[Series, ...]:
        """The values of a query at each step of a time. Raises SourceError."""
        form = {"query": query, "start": repr(start_s), "end": repr(end_s), "step": repr(step_s)}
        return await self._matrix("/api/v1/query_range", form)

    async def _matrix(self, path: str, form: Mapping[str, str]) -> tuple[Series, ...]:
        data = await self._ask("POST", path, form)
        try:
            if data["resultType"] != "matrix":
                raise SourceError("Prometheus gave no raw samples")
            return tuple(
                Series(
                    labels=dict(series["metric"]),
                    samples=tuple((_time(at), _number(value)) for at, value in series.get("values", ())),
                )
                for series in data["result"]
            )
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise SourceError("Prometheus gave no raw samples") from error

    async def firing_alerts(self) -> tuple[FiringAlert, ...]:
        """Every alert that fires now; pending alerts are left out. Raises SourceError."""
        data = await self._ask("GET", "/api/v1/alerts")
        try:
            return tuple(
                FiringAlert(
                    labels=dict(one["labels"]),
                    active_at=str(one.get("activeAt", "")),
                    summary=str((one.get("annotations") or {}).get("summary", "")),
                )
                for one in data["alerts"] or ()  # Thanos says null for none
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
                for group in data["groups"] or ()
                for rule in group["rules"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise SourceError("Prometheus gave no list of rules") from error

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Any:
        """The `data` of an answer. Raises SourceError for anything but an answer of success."""
        answer = await ask(
            self._http,
            method,
            self._url + path,
            who="Prometheus",
            headers=self._headers,
            limits=self._limits,
            form=form,
        )
        content = answer.content if isinstance(answer.content, dict) else {}
        if content.get("status") != "success" or "data" not in content:
            raise SourceError(plain(f"Prometheus answered {answer.status}: {content.get('error', '')}", 300))
        return content["data"]


def _sample(labels: Mapping[str, str], pair: Any) -> Sample:
    return Sample(labels=dict(labels), value=_number(pair[1]), at_s=_time(pair[0]))


def _time(number: Any) -> float:
    """A sample's Unix time. Raises ValueError, TypeError or OverflowError for a time that is no finite number."""
    at_s = float(number)
    if not math.isfinite(at_s):
        raise ValueError("a time that is not finite")
    return at_s


def _number(text: Any) -> Decimal:
    """A sample's value. Raises ValueError or InvalidOperation; a signaling NaN, which no comparison takes, is none."""
    value = Decimal(str(text))
    if value.is_snan():
        raise ValueError("a signaling NaN")
    return value
