"""What follows from a gate of `canary`: when the gate breaks, and the traffic that the gate needs to find an outage."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from generator.model.canary import Canary
from generator.model.canary_gate import CanaryGate, PushedMeasure, QuantileMeasure, QueryMeasure, RatioMeasure
from generator.model.canary_proof import HEALTHY, events_to_pass, least_events, least_rate, proof_of, rate_text
from generator.units import decimal_text, duration_text, percent_text


def name(gate: CanaryGate) -> str:
    """The name of a gate beside SLOs and alerts, which may have the same name."""
    return f"canary.{gate.id}"


def reads(gate: CanaryGate) -> tuple[str, ...]:
    """What the engine asks Prometheus for."""
    match gate.measure:
        case RatioMeasure(counted=counted, total=total, good=good):
            return (f"{'good' if good else 'bad'}: {counted.text}", f"total: {total.text}")
        case QuantileMeasure(histogram=histogram):
            return (f"histogram: {histogram.text}",)
        case QueryMeasure(query=query):
            return (f"query: {query}",)
        case PushedMeasure():
            return ()


def facts(canary: Canary, gate: CanaryGate) -> Iterator[tuple[str, str]]:
    """The bound, the row of breaches, the proof, and the least traffic."""
    yield "bound", ", ".join(_bounds(gate))
    yield "breaks after", _row(gate)
    proof = proof_of(canary, gate)
    if proof is not None:
        level, stage = (percent_text(one) for one in (proof.level, proof.stage_level))
        yield "proof", f"P ≤ {level} in each window, P ≤ {stage} for a whole stage; counts / {proof.inflation}"
    yield from _evidence(canary, gate)
    rate = least_rate(canary, gate)
    if rate is None:
        return
    window = f"{least_events(gate, proof)} events in {duration_text(gate.over_ms)}"
    yield "least traffic", f"{rate_text(rate)} of the canary find an outage: {window}"
    shares = ", ".join(f"{rate_text(rate / stage.weight)} at {percent_text(stage.weight)}" for stage in canary.stages)
    yield "service", shares


def _evidence(canary: Canary, gate: CanaryGate) -> Iterator[tuple[str, str]]:
    """The events without which a stage cannot end, and the canary's rate that gives as many in a stage's time."""
    perfect, healthy = (events_to_pass(gate, proof_of(canary, gate), part) for part in (Decimal(0), HEALTHY))
    if perfect is None or healthy is None:
        return
    yield "each stage", f"needs about {perfect} events without a failure, {healthy} with half of the allowed failures"
    times = [(stage.weight, stage.bake_ms or stage.soak_ms) for stage in canary.stages]
    rates = [f"{rate_text(Decimal(healthy) * 1000 / ms)} at {percent_text(weight)}" for weight, ms in times if ms]
    if rates:
        yield "ends in time", f"with {', '.join(rates)}, of the canary; with less traffic, the stage holds and goes on"


def _bounds(gate: CanaryGate) -> Iterator[str]:
    over = f" over {duration_text(gate.over_ms)}" if gate.over_ms else ""
    if gate.value is not None:
        what = percent_text(gate.value) if isinstance(gate.measure, RatioMeasure) else decimal_text(gate.value)
        yield f"{gate.op} {what}{over}"
    if gate.at_most_times is not None:
        yield f"at most {decimal_text(gate.at_most_times)} times the stable release{over}"


def _row(gate: CanaryGate) -> str:
    if gate.consecutive == 1:
        return "one breach"
    apart = f", {duration_text(gate.spaced_ms)} apart" if gate.spaced_ms else ""
    return f"{gate.consecutive} breaches in a row{apart}"
