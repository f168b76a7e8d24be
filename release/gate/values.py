"""`budget` and `query`: a query's samples against a bound."""

from __future__ import annotations

from decimal import Decimal

from receiver.figures import figure
from receiver.plaintext import plain
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Sample
from release.gate.answer import Finding
from release.gate.world import World, cannot_tell, go, no_go
from release.policy.gate import Budget, Query

SOURCE = "prometheus"


async def check_budget(check: Budget, world: World) -> Finding:
    """At least this share of the SLO's error budget is left."""
    threshold = f"at least {_percent(check.value)} of the error budget of {check.slo}"
    samples = await _samples(check.query, world)
    if isinstance(samples, str):
        return cannot_tell(check.id, SOURCE, samples, threshold=threshold)
    worst = min(samples, key=lambda one: one.value)
    value = f"{_percent(worst.value)}{_labels(worst)}"
    if worst.value >= check.value:
        reason = f"{value} of the error budget of {check.slo} is left"
        return go(check.id, SOURCE, reason, value=value, threshold=threshold)
    reason = f"only {value} of the error budget of {check.slo} is left"
    return no_go(check.id, SOURCE, reason, value=value, threshold=threshold)


async def check_query(check: Query, world: World) -> Finding:
    """Every sample of the query is within the bound."""
    threshold = f"{'at most' if check.op == '<=' else 'at least'} {figure(check.value, check.unit)}"
    samples = await _samples(check.query, world)
    if isinstance(samples, str):
        return cannot_tell(check.id, SOURCE, samples, threshold=threshold)
    worst = (max if check.op == "<=" else min)(samples, key=lambda one: one.value)
    value = f"{figure(worst.value, check.unit)}{_labels(worst)}"
    holds = worst.value <= check.value if check.op == "<=" else worst.value >= check.value
    said = go if holds else no_go
    reason = f"the query's value is {value}" if holds else f"the query's value is {value}; the gate allows {threshold}"
    return said(check.id, SOURCE, reason, value=value, threshold=threshold)


async def _samples(query: str, world: World) -> tuple[Sample, ...] | str:
    """The samples, or why there are none to judge."""
    if world.prometheus is None:
        return "no Prometheus was named"
    try:
        samples = await world.prometheus.samples(query)
    except SourceError as error:
        return str(error)
    if not samples:
        return "the query has no result"
    if any(one.value.is_nan() for one in samples):
        return "the query's result is NaN"
    return samples


def _percent(share: Decimal) -> str:
    return f"{float(share * 100):.4g} %"


def _labels(sample: Sample) -> str:
    named = ", ".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "__name__")
    return f" ({plain(named, 100)})" if named else ""
