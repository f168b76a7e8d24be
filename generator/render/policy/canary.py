"""The policy's `canary` member: the rollout that the receiver runs."""

from __future__ import annotations

from collections.abc import Sequence

from generator.model.canary import Approval, Ask, Canary, Daily, Stage
from generator.model.canary_gate import CanaryGate
from generator.model.canary_proof import proof_of
from generator.model.policy import matchers
from generator.model.spec import Spec
from generator.render.policy import ab, canary_gates, traffic
from generator.render.policy.policy_values import command, matcher_list, seconds
from generator.units import decimal_text


def render(spec: Spec, canary: Canary) -> dict[str, object]:
    """The `canary` section as JSON data. Absent keys are left out."""
    found: dict[str, object] = {}
    if canary.deploy is not None:
        found["deploy"] = command(canary.deploy)
    if canary.release is not None:
        found["release"] = command(canary.release)
    if canary.traffic is not None:
        found["traffic"] = traffic.render(canary.traffic)
    if canary.start is not None:
        found["start"] = _ask(canary.start)
    if canary.tracks is not None:
        found["tracks"] = {"canary": canary.tracks.canary, "stable": canary.tracks.stable}
    found |= {
        "every_s": seconds(canary.every_ms),
        "scrape_s": seconds(spec.defaults.scrape_ms),
        "no_data": {"hold_for_s": seconds(canary.no_data.hold_for_ms), "then": canary.no_data.then},
        "stages": [_stage(stage, canary.gates) for stage in canary.stages],
        "gates": [canary_gates.render(gate, proof_of(canary, gate)) for gate in canary.gates],
        "abort_on": [matcher_list(matchers(trigger, spec.service)) for trigger in canary.abort_on],
        "on_abort": list(canary.on_abort),
    }
    return found


def _ask(ask: Ask) -> dict[str, object]:
    found: dict[str, object] = {"gate": True} if ask.gate else {}
    return found | _approval(ask.approval)


def _approval(approval: Approval | None) -> dict[str, object]:
    if approval is None:
        return {}
    within = {} if approval.within_ms is None else {"within_s": seconds(approval.within_ms)}
    return {"approval": {**within, "then": approval.then}}


def _daily(daily: Daily) -> dict[str, object]:
    found: dict[str, object] = {"at": list(daily.at), "zone": daily.zone}
    return found | ({"gate": True} if daily.gate else {}) | _approval(daily.approval)


def _stage(stage: Stage, gates: Sequence[CanaryGate]) -> dict[str, object]:
    found: dict[str, object] = {"weight": decimal_text(stage.weight)}
    if stage.bake_ms:
        found["bake_s"] = seconds(stage.bake_ms)
    if stage.soak_ms:
        found["soak_s"] = seconds(stage.soak_ms)
    if stage.then is not None:
        found["then"] = _ask(stage.then)
    if stage.daily is not None:
        found["daily"] = _daily(stage.daily)
    if stage.ab is not None:
        found["ab"] = ab.render(stage.ab, gates)
    return found
