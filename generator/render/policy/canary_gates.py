"""The policy's `canary.gates`: what the engine measures.

The queries count events as `increase` over the window. `$canary` stays in a query: the engine puts a release there.
"""

from __future__ import annotations

from generator.conditions.quantile_of import quantile_query
from generator.model.canary_gate import CanaryGate, PushedMeasure, QuantileMeasure, QueryMeasure, RatioMeasure
from generator.model.canary_proof import Proof
from generator.promql import text as promql
from generator.promql.text import Selector
from generator.render.policy.policy_values import seconds
from generator.units import decimal_text, duration_text

BOUND = "$bound"
"""Stands for a bound that the engine computes, in the query of a native histogram."""


def render(gate: CanaryGate, proof: Proof | None) -> dict[str, object]:
    """One gate as JSON data."""
    found: dict[str, object] = {"id": gate.id, "kind": gate.measure.KIND, **_measured(gate)}
    if gate.unit:
        found["unit"] = gate.unit
    if gate.over_ms:
        found["over_s"] = seconds(gate.over_ms)
    if gate.value is not None:
        found |= {"op": gate.op, "value": decimal_text(gate.value)}
    if gate.at_most_times is not None:
        found["at_most_times"] = decimal_text(gate.at_most_times)
    if gate.spaced_ms:
        found["spaced_s"] = seconds(gate.spaced_ms)
    if proof is not None:
        found["proof"] = _proof(proof)
    return found | {"consecutive": gate.consecutive, "min_samples": gate.min_samples, "on_breach": gate.on_breach}


def _proof(proof: Proof) -> dict[str, object]:
    found: dict[str, object] = {"level": decimal_text(proof.level), "stage_level": decimal_text(proof.stage_level)}
    if proof.pass_level is not None:
        found["pass_level"] = decimal_text(proof.pass_level)
    return found | {"inflation": decimal_text(proof.inflation)}


def _measured(gate: CanaryGate) -> dict[str, object]:
    window = duration_text(gate.over_ms) if gate.over_ms else ""
    match gate.measure:
        case RatioMeasure() as measure:
            return _ratio(measure, window)
        case QuantileMeasure() as measure:
            return _quantile(measure, window)
        case QueryMeasure(query=query, samples=samples):
            return {"query": query, **({"samples": samples} if samples else {})}
        case PushedMeasure():
            return {}


def _ratio(measure: RatioMeasure, window: str) -> dict[str, object]:
    """Counts of bad and of all events. The total's zero stands in where no series of bad events exists."""
    total = _increase(measure.total, window)
    counted = f"{_increase(measure.counted, window)} or 0 * {total}"
    return {"bad": f"{total} - ({counted})" if measure.good else counted, "total": total}


def _quantile(measure: QuantileMeasure, window: str) -> dict[str, object]:
    """Counts by bucket, or, for a native histogram, counts above `$bound`."""
    observed = quantile_query(measure.histogram, measure.quantile, window, (), native=measure.native)
    found: dict[str, object] = {"quantile": decimal_text(measure.quantile), "observed": observed}
    if measure.native:
        histogram = f"sum(increase({measure.histogram.text}[{window}]))"
        above = f"(1 - histogram_fraction(-Inf, {BOUND}, {histogram}))"
        return found | {
            "above": f"histogram_count({histogram}) * {above}",
            "total": f"histogram_count({histogram})",
        }
    buckets = promql.with_metric(measure.histogram, f"{measure.histogram.metric}_bucket")
    return found | {"buckets": f"sum by (le) (increase({buckets}[{window}]))"}


def _increase(selector: Selector, window: str) -> str:
    return f"sum(increase({selector.text}[{window}]))"
