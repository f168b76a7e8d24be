"""Asks Prometheus what the gates need: counts of bad and all events, or values, for each release."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from receiver.sources.fill import filled
from receiver.sources.prometheus import Prometheus, Sample
from release.canary.verdict import Measured, Reading, counted, counted_above, judge, quantile_limit
from release.policy.canary import Canary, CanaryGate, PushGate, QuantileGate, QueryGate, RatioGate

NOTHING = Reading()


class Tracks(Struct, frozen=True, kw_only=True):
    """What `$canary` and `$stable` stand for in this rollout."""

    canary: str
    stable: str


class Pushed(Struct, frozen=True, kw_only=True):
    """The newest evidence that another program sent for a gate."""

    value: Decimal
    count: int | None


async def measure(
    canary: Canary, tracks: Tracks, prometheus: Prometheus, pushed: Mapping[str, Pushed]
) -> tuple[Measured, ...]:
    """One look: every gate's verdict, in the order of the policy. Raises SourceError if Prometheus does not answer."""
    asked = (_measure(gate, tracks, prometheus, pushed) for gate in canary.gates)
    return tuple(await asyncio.gather(*asked))


async def _measure(gate: CanaryGate, tracks: Tracks, prometheus: Prometheus, pushed: Mapping[str, Pushed]) -> Measured:
    compares = gate.at_most_times is not None
    if isinstance(gate, PushGate):
        found = pushed.get(gate.id)
        new = NOTHING if found is None else Reading(value=found.value, samples=found.count)
        return judge(gate, new, None)
    old_tracks = Tracks(canary=tracks.stable, stable=tracks.stable)
    if isinstance(gate, QuantileGate):
        old = await _observed(gate, old_tracks, prometheus) if compares else None
        limit = quantile_limit(gate, old)
        new = await _quantile(gate, tracks, prometheus, limit)
        if old is not None:
            above = await _quantile(gate, old_tracks, prometheus, limit)
            old = Reading(counts=above.counts, value=old.value)
        return judge(gate, new, old)
    read = _ratio if isinstance(gate, RatioGate) else _query
    new = await read(gate, tracks, prometheus)  # type: ignore[arg-type]
    old = await read(gate, old_tracks, prometheus) if compares else None  # type: ignore[arg-type]
    return judge(gate, new, old)


async def _ratio(gate: RatioGate, tracks: Tracks, prometheus: Prometheus) -> Reading:
    bad, total = await asyncio.gather(_one(gate.bad, tracks, prometheus), _one(gate.total, tracks, prometheus))
    return Reading(counts=counted(bad, total))


async def _query(gate: QueryGate, tracks: Tracks, prometheus: Prometheus) -> Reading:
    """The worst sample of the query: one bad instance is a bad canary."""
    samples = await _samples(gate.query, tracks, prometheus)
    values = [one.value for one in samples]
    if any(value.is_nan() for value in values) or not values:
        return NOTHING
    value = min(values) if gate.op == ">=" else max(values)
    if not gate.samples:
        return Reading(value=value)
    count = await _one(gate.samples, tracks, prometheus)
    return Reading(value=value, samples=round(count) if count is not None and count.is_finite() else 0)


async def _observed(gate: QuantileGate, tracks: Tracks, prometheus: Prometheus) -> Reading:
    return Reading(value=await _one(gate.observed, tracks, prometheus))


async def _quantile(gate: QuantileGate, tracks: Tracks, prometheus: Prometheus, limit: Decimal | None) -> Reading:
    """Counts above the limit, and the quantile for people."""
    value = await _one(gate.observed, tracks, prometheus)
    if limit is None or not limit.is_finite():
        return Reading(value=value)
    if gate.buckets:
        counts = counted_above(_edges(await _samples(gate.buckets, tracks, prometheus)), limit)
    else:
        above = await _one(gate.above, tracks, prometheus, bound=limit)
        counts = counted(above, await _one(gate.total, tracks, prometheus))
    return Reading(counts=counts, value=value)


def _edges(samples: Sequence[Sample]) -> dict[Decimal, Decimal]:
    edges = {}
    for one in samples:
        try:
            edges[Decimal(one.labels.get("le", ""))] = one.value
        except InvalidOperation:
            continue  # A series without an edge is none of the histogram's buckets.
    return edges


async def _one(query: str, tracks: Tracks, prometheus: Prometheus, bound: Decimal | None = None) -> Decimal | None:
    """The only sample of a query that aggregates; None without a sample."""
    samples = await _samples(query, tracks, prometheus, bound)
    return samples[0].value if samples else None


async def _samples(
    query: str, tracks: Tracks, prometheus: Prometheus, bound: Decimal | None = None
) -> tuple[Sample, ...]:
    return await prometheus.samples(filled(query, canary=tracks.canary, stable=tracks.stable, bound=bound))
