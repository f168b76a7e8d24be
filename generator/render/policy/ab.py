"""The policy's `ab`: the statistics of a stage, with the counters of each metric."""

from __future__ import annotations

from collections.abc import Iterable

from generator.model.ab import AbTest
from generator.model.canary_gate import CanaryGate, QuantileMeasure, RatioMeasure
from generator.promql import text as promql
from generator.promql.buckets import le_matcher
from generator.units import decimal_text


def render(test: AbTest, gates: Iterable[CanaryGate]) -> dict[str, object]:
    """One test as JSON data. `gates` are those of the canary; the test names some of them."""
    by_id = {gate.id: gate for gate in gates}
    found: dict[str, object] = {
        "metrics": [_metric(by_id[name]) for name in test.metrics if name in by_id],
        "confidence": decimal_text(test.confidence),
        "power": decimal_text(test.power),
        "detect": decimal_text(test.detect),
        "method": test.method,
        "assignment": test.assignment,
    }
    if test.variance_inflation is not None:
        found["variance_inflation"] = decimal_text(test.variance_inflation)
    return found | {"then": test.then}


def _metric(gate: CanaryGate) -> dict[str, object]:
    """Counters to read as raw samples: a gate's own selectors, or a histogram's count and bucket at the bound."""
    match gate.measure:
        case RatioMeasure(counted=counted, total=total, good=good):
            return {"id": gate.id, "total": total.text, "good" if good else "bad": counted.text}
        case QuantileMeasure(histogram=histogram) if gate.value is not None:
            name = histogram.metric
            fast = promql.with_metric(histogram, f"{name}_bucket", le_matcher(gate.value))
            return {"id": gate.id, "total": promql.with_metric(histogram, f"{name}_count"), "good": fast}
        case _:
            raise AssertionError(f"{gate.id}: the check has let through a gate that counts no events")
