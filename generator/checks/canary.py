"""Whether `canary` names only existing alerts and actions, and whether an aborted rollout is rolled back."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from fractions import Fraction

from freezeline.problems import Problems
from generator import names
from generator.checks.policy import known_alerts, report_unknown
from generator.model import alert_labels
from generator.model.actions import FreezeAction, RollbackAction
from generator.model.canary import Canary
from generator.model.canary_gate import CanaryGate, counts_events
from generator.model.canary_proof import HEALTHY, events_to_pass, least_rate, proof_of, rate_text
from generator.model.policy import Trigger, matchers
from generator.model.spec import Spec
from generator.model.traffic import Haproxy
from generator.units import duration_text, percent_text

HAPROXY_WEIGHT_MAX = 256


def check(spec: Spec, problems: Problems) -> None:
    """Report unknown names, and a rollout without a rollback or a freeze."""
    canary = spec.canary
    if canary is None:
        return
    for name in canary.on_abort:
        if name not in spec.actions and name not in spec.broken:
            report_unknown(
                spec, problems, "canary/unknown-action", canary.position, kind="action", name=name, known=spec.actions
            )
    freezing = [action for action in spec.actions.values() if isinstance(action, FreezeAction)]
    rollbacks = [name for name in canary.on_abort if isinstance(spec.actions.get(name), RollbackAction)]
    if not rollbacks and not spec.broken.keys() & set(canary.on_abort):
        hint = "add the name of an action with `command:` to `on_abort`, as in `on_abort: [rollback]`"
        problems.add(
            "canary/no-rollback", canary.position, "no action under `on_abort` rolls an aborted rollout back", hint
        )
    if canary.on_abort and freezing and not _freezes(spec, canary):
        hint = "add the freeze action to `on_abort`, as in `on_abort: [rollback, freeze]`"
        problems.add(
            "canary/no-freeze",
            canary.position,
            "no action under `on_abort` freezes, so the pipeline could ship the bad release again",
            hint,
            warning=True,
        )
    labels = alert_labels.of(spec)
    for trigger in canary.abort_on:
        if not spec.broken and not any(_begins(trigger, one) for one in labels):
            known = known_alerts(spec)
            report_unknown(
                spec,
                problems,
                "canary/unknown-alert",
                trigger.position,
                kind="alert",
                name=trigger.alert or trigger.severity,
                known=known,
            )
    _check_stages(spec, canary, problems)
    _check_traffic(canary, problems)
    if isinstance(canary.traffic, Haproxy):
        _check_weights(canary, canary.traffic, problems)


def _check_weights(canary: Canary, traffic: Haproxy, problems: Problems) -> None:
    """Whether HAProxy's whole weights split each stage's share off exactly. All servers of a side get one weight."""
    for stage in canary.stages:
        if not 0 < stage.weight < 1 or not traffic.stable or not traffic.canary:
            continue
        share = Fraction(stage.weight)
        each = share / (1 - share) * Fraction(len(traffic.stable), len(traffic.canary))
        if max(each.numerator, each.denominator) > HAPROXY_WEIGHT_MAX:
            weights = f"HAProxy's weights, whole numbers up to {HAPROXY_WEIGHT_MAX},"
            message = f"{weights} cannot split {percent_text(stage.weight)} of the traffic off exactly"
            hint = "write a weight such as 1%, 5% or 10%"
            problems.add("canary/weight", stage.position, message, hint)


def _freezes(spec: Spec, canary: Canary) -> bool:
    return any(isinstance(spec.actions.get(name), FreezeAction) for name in canary.on_abort)


def _begins(trigger: Trigger, labels: alert_labels.AlertLabels) -> bool:
    return all(labels.get(label) == value for label, value in matchers(trigger, labels[names.SERVICE]))


def _check_traffic(canary: Canary, problems: Problems) -> None:
    """Warn of gates that cannot find an outage with the stated traffic, and of stages that last longer."""
    if canary.requests_per_second is None:
        return
    for gate in canary.gates:
        _check_evidence(canary, gate, canary.requests_per_second, problems)
        needed = least_rate(canary, gate)
        shares = [stage.weight for stage in canary.stages if stage.weight > 0]
        if needed is None or not shares or min(shares) * canary.requests_per_second >= needed:
            continue
        weight = min(shares)
        message = (
            f"the gate {gate.id} finds an outage from {rate_text(needed)} on, but the stage of {percent_text(weight)} "
            f"gets {rate_text(weight * canary.requests_per_second)}"
        )
        share = needed / canary.requests_per_second
        weight_hint = f", or a weight of at least {percent_text(_up(share))}" if share <= 1 else ""
        hint = f"write a longer `over`, or a smaller `min_samples`{weight_hint}"
        problems.add("canary/little-traffic", gate.position, message, hint, warning=True)


def _check_evidence(canary: Canary, gate: CanaryGate, rate: Decimal, problems: Problems) -> None:
    """Warn of the first stage that gets too few events in its time to end with evidence."""
    needed = events_to_pass(gate, proof_of(canary, gate), HEALTHY)
    for stage in canary.stages:
        lasts_ms = stage.bake_ms or stage.soak_ms
        events = stage.weight * rate * lasts_ms / 1000
        if needed is None or not lasts_ms or events >= needed:
            continue
        message = (
            f"the gate {gate.id} lets a stage end after about {needed} events, but the stage of "
            f"{percent_text(stage.weight)} gets {round(events)} in {duration_text(lasts_ms)}"
        )
        hint = "write a longer `bake`, a larger weight, or `evidence: off`; otherwise the stage holds and goes on"
        problems.add("canary/little-traffic", stage.position, message, hint, warning=True)
        return


def _up(share: Decimal) -> Decimal:
    """A share rounded up to tenths of a percent."""
    return share.quantize(Decimal("0.001"), rounding=ROUND_UP)


def _check_stages(spec: Spec, canary: Canary, problems: Problems) -> None:
    """Whether every test names gates that count events: ratios, and quantiles with a bound of their own."""
    known = {gate.id: gate for gate in canary.gates}
    for stage in canary.stages:
        for metric in stage.ab.metrics if stage.ab else ():
            if metric not in known:
                report_unknown(
                    spec, problems, "canary/unknown-gate", stage.position, kind="gate", name=metric, known=known
                )
            elif not counts_events(known[metric]):
                message = f"the A/B test compares {metric}, a gate that counts no events"
                hint = "name a gate with `ratio:`, or with `p95_of:` and `max:` on a classic histogram"
                problems.add("canary/ab", stage.position, message, hint)
