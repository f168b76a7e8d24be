"""Reads `canary`: the stages of a rollout, and what aborts the rollout. The receiver runs the rollout."""

from __future__ import annotations

from decimal import Decimal

from generator.model import policy
from generator.model.canary import Canary, NoData, Tracks
from generator.names import SEVERITIES
from generator.reading.reader import Reader
from generator.spec import asks, canary_gates, canary_stages, traffic
from generator.spec.command import read_command
from generator.units import MINUTE, SECOND

DEPLOY_TIMEOUT_MS = 300 * SECOND
RELEASE_TIMEOUT_MS = 5 * SECOND
CONFIDENCE = Decimal("0.95")
EVIDENCE = Decimal("0.95")
VARIANCE_INFLATION = Decimal(2)
"""Failures come in bursts: 2 is right for bursts of 1.5 failures on average, whose sizes are geometric."""
INFLATION_MAX = 1000


def parse(reader: Reader) -> Canary:
    """The `canary` section. Every problem is reported with its position."""
    start = reader.mapping("start")
    min_samples = reader.integer("min_samples", 1, at_least=1)
    canary = Canary(
        deploy=read_command(reader, "deploy", timeout_ms=DEPLOY_TIMEOUT_MS),
        release=read_command(reader, "release", timeout_ms=RELEASE_TIMEOUT_MS),
        traffic=traffic.parse(reader),
        start=asks.parse(start) if start is not None else None,
        every_ms=reader.duration_ms("every", 30 * SECOND, at_least=SECOND),
        no_data=_parse_no_data(reader),
        stages=canary_stages.parse(reader),
        gates=canary_gates.parse(reader, min_samples),
        confidence=_parse_confidence(reader),
        evidence=_parse_evidence(reader),
        variance_inflation=_parse_inflation(reader),
        requests_per_second=_parse_rate(reader),
        tracks=_parse_tracks(reader),
        abort_on=tuple(_parse_abort(inner) for inner in reader.readers("abort_on")),
        on_abort=reader.texts("on_abort"),
        position=reader.position,
    )
    reader.finish()
    if not canary.gates and not canary.abort_on and not reader.has("gates"):
        hint = "add `abort_on: [{severity: critical}]`, or `gates:` with queries and bounds"
        reader.fail("canary/blind", "neither a gate nor an alert can abort this rollout", hint)
    return canary


def _parse_no_data(reader: Reader) -> NoData:
    inner = reader.mapping("no_data")
    if inner is None:
        return NoData(hold_for_ms=10 * MINUTE, then="hold")
    found = NoData(
        hold_for_ms=inner.duration_ms("hold_for", 10 * MINUTE), then=inner.choice("then", ("abort", "hold"), "hold")
    )
    inner.finish()
    return found


def _parse_confidence(reader: Reader) -> Decimal | None:
    """How sure a breach must be, as a ratio. None: `off`, the bare bound decides."""
    confidence = _ratio_or_off(reader, "confidence", CONFIDENCE)
    if confidence is None or _is_sure(confidence):
        return confidence
    hint = "write `confidence: 95%`, or `confidence: off` for the bare bound"
    reader.fail("canary/confidence", "the confidence must be at least 50% and below 100%", hint, key="confidence")
    return CONFIDENCE


def _parse_evidence(reader: Reader) -> Decimal | None:
    """How sure a stage must be that failures are not twice the allowed ones. None: `off`, a stage needs only time."""
    evidence = _ratio_or_off(reader, "evidence", EVIDENCE)
    if evidence is None or _is_sure(evidence):
        return evidence
    hint = "write `evidence: 95%`, or `evidence: off` for stages that need only time"
    reader.fail("canary/evidence", "the evidence must be at least 50% and below 100%", hint, key="evidence")
    return EVIDENCE


def _ratio_or_off(reader: Reader, key: str, default: Decimal) -> Decimal | None:
    written = reader.value(key)
    return None if written is not None and written.text == "off" else reader.ratio(key, default)


def _is_sure(ratio: Decimal) -> bool:
    return Decimal("0.5") <= ratio < 1


def _parse_inflation(reader: Reader) -> Decimal:
    """How many times more the counts of failures vary than by chance alone."""
    inflation = reader.decimal("variance_inflation", VARIANCE_INFLATION)
    if 1 <= inflation <= INFLATION_MAX:
        return inflation
    hint = "write `variance_inflation: 2`, or 1 for failures that do not come in bursts"
    message = f"the variance inflation must be from 1 to {INFLATION_MAX}"
    reader.fail("canary/variance-inflation", message, hint, key="variance_inflation")
    return VARIANCE_INFLATION


def _parse_rate(reader: Reader) -> Decimal | None:
    """The whole service's requests a second, when traffic is low."""
    if not reader.has("requests_per_second"):
        return None
    rate = reader.decimal("requests_per_second")
    if rate <= 0:
        hint = "write the requests of the whole service in a second of low traffic, such as 20 or 0.5"
        reader.fail("canary/little-traffic", "`requests_per_second` must be above 0", hint, key="requests_per_second")
    return rate


def _parse_tracks(reader: Reader) -> Tracks | None:
    """What `$canary` and `$stable` stand for; None: the two releases' own names."""
    inner = reader.mapping("tracks")
    if inner is None:
        return None
    tracks = Tracks(canary=inner.text("canary"), stable=inner.text("stable"))
    if tracks.canary and tracks.canary == tracks.stable:
        hint = "write two values, such as `{canary: treatment, stable: control}`"
        inner.fail("canary/tracks", f"{inner.what} names the same track twice", hint, key="stable")
    inner.finish()
    return tracks


def _parse_abort(reader: Reader) -> policy.Trigger:
    trigger = policy.Trigger(
        alert=reader.text("alert", ""),
        slo=reader.text("slo", ""),
        tier=reader.text("tier", ""),
        severity=reader.choice("severity", SEVERITIES) if reader.has("severity") else "",
        position=reader.position,
    )
    reader.finish()
    if not trigger.alert and not trigger.severity:
        reader.fail(
            "canary/abort",
            f"{reader.what} names neither an alert nor a severity",
            "write `{alert: Name}` or `{severity: critical}`",
        )
    return trigger
