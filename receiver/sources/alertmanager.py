"""What one Alertmanager knows: its alerts, and whether it has run for long enough to know every firing alert."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.decide.model import Alert, AlertStatus
from receiver.sources.asking import QUICK, Headers, SourceError, ask
from receiver.webhook import foreign
from receiver.webhook.ingest import read_time


class Known(Struct, frozen=True, kw_only=True):
    """What one Alertmanager knows. `settled`: it has run for long enough to know every firing alert."""

    alerts: Mapping[str, Alert]
    ours: frozenset[str]
    settled: bool


class Alertmanager:
    """One Alertmanager."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        receiver: str,
        settle_s: float,
        headers: Headers = dict,
    ) -> None:
        self._http = http
        self._headers = headers
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
        answer = await ask(self._http, "GET", f"{self.url}{path}", who=self.url, headers=self._headers, limits=QUICK)
        if answer.status != 200:
            raise SourceError(f"{self.url} answered {answer.status}")
        return answer.content


def _alert(entry: Mapping[str, Any], now: datetime) -> Alert:
    """One alert of the answer. An alert whose start makes no sense fires all the same: it began by now."""
    try:
        starts_at = read_time(entry["startsAt"]).astimezone(UTC)
    except ValueError:
        starts_at = now
    labels = {str(name): str(value) for name, value in entry["labels"].items()}
    annotations = {str(name): str(value) for name, value in entry.get("annotations", {}).items()}
    return Alert(
        fingerprint=str(entry["fingerprint"]),
        status=AlertStatus.FIRING,
        labels=labels,
        annotations=foreign.said(annotations, labels, entry.get("generatorURL")),
        starts_at=starts_at,
        ends_at=None,
    )
