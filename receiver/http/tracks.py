"""Both releases of a rollout side by side, as Prometheus answers now: each one's share of the requests, and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from receiver.rollouts import Rollout
from receiver.sources.asking import SourceError
from receiver.sources.fill import ReleaseNameError, filled
from receiver.sources.prometheus import Prometheus

CANARY, STABLE = "canary", "stable"
Gate = Mapping[str, Any]


async def side_by_side(
    policy: Mapping[str, Any], rollout: Rollout, prometheus: Prometheus | None
) -> dict[str, dict[str, Any]]:
    """Each release's name, its share of the requests in percent, and its value of each gate that names `$canary`.

    The requests are those that the first `ratio` gate counts. What nobody can tell is None.
    """
    canary = policy["canary"]
    tracks = canary.get("tracks") or {CANARY: rollout.release, STABLE: rollout.state.get("stable")}
    names = {side: str(tracks.get(side) or "") for side in (CANARY, STABLE)}
    gates = [gate for gate in canary.get("gates", ()) if "$canary" in _text(gate)]
    counting = next((gate for gate in gates if gate["kind"] == "ratio"), None)
    ask = _Asker(prometheus, stable=names[STABLE])
    requests = await asyncio.gather(*(ask.one(counting and counting["total"], name) for name in names.values()))
    found = {}
    for (side, name), share in zip(names.items(), _shares(requests), strict=True):
        values = await asyncio.gather(*(ask.value(gate, name) for gate in gates))
        figures = {gate["id"]: _number(value) for gate, value in zip(gates, values, strict=True)}
        found[side] = {"name": name, "requests_percentage": share, "gates": figures}
    return found


def _text(gate: Gate) -> str:
    """The queries of a gate that a value comes from."""
    return "".join(str(gate.get(name, "")) for name in ("total", "observed", "query"))


def _shares(requests: Sequence[Decimal | None]) -> list[float | None]:
    """The percentage of each count; None where a count is missing, or where nobody asked for anything."""
    known = [one for one in requests if one is not None]
    if len(known) < len(requests) or not sum(known):
        return [None] * len(requests)
    return [round(float(100 * one / sum(known)), 2) for one in known]


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


class _Asker:
    """Asks about one release at a time, whose name takes the place of `$canary`."""

    def __init__(self, prometheus: Prometheus | None, *, stable: str) -> None:
        self._prometheus = prometheus
        self._stable = stable

    async def value(self, gate: Gate, name: str) -> Decimal | None:
        """The value of a gate, as a measurement of the engine shows the value."""
        if gate["kind"] != "ratio":
            return await self.one(gate.get("observed") or gate.get("query"), name, lowest=gate.get("op") == ">=")
        bad, total = await asyncio.gather(self.one(gate["bad"], name), self.one(gate["total"], name))
        if bad is None or not total:
            return None
        return 1 - bad / total if gate.get("op") == ">=" else bad / total

    async def one(self, query: str | None, name: str, *, lowest: bool = False) -> Decimal | None:
        """The worst sample of a query; None where there is no finite one, or where nobody answers."""
        if self._prometheus is None or not query or not name:
            return None
        try:
            samples = await self._prometheus.samples(filled(query, canary=name, stable=self._stable))
        except (SourceError, ReleaseNameError):
            return None
        values = [one.value for one in samples if one.value.is_finite()]
        return (min(values) if lowest else max(values)) if values else None
