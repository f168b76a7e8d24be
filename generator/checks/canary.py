"""Whether `canary` names only existing alerts and actions, and whether an aborted rollout is rolled back."""

from __future__ import annotations

from freezeline.problems import Problems
from generator import names
from generator.checks.policy import known_alerts, report_unknown
from generator.model import alert_labels
from generator.model.actions import FreezeAction, RollbackAction
from generator.model.canary import Canary
from generator.model.canary_gate import counts_events
from generator.model.policy import Trigger, matchers
from generator.model.spec import Spec


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


def _freezes(spec: Spec, canary: Canary) -> bool:
    return any(isinstance(spec.actions.get(name), FreezeAction) for name in canary.on_abort)


def _begins(trigger: Trigger, labels: alert_labels.AlertLabels) -> bool:
    return all(labels.get(label) == value for label, value in matchers(trigger, labels[names.SERVICE]))


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
