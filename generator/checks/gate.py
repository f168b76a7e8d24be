"""Whether the checks of `gate` name only existing SLOs, alerts and checks."""

from __future__ import annotations

from collections.abc import Mapping

from freezeline.problems import Problems
from generator import names
from generator.checks import policy
from generator.model import alert_labels
from generator.model.gate import BudgetLeft, Check, ImagePinned, NoneFiring, ScanClean
from generator.model.spec import Spec


def check(spec: Spec, problems: Problems) -> None:
    """Report every check that names an unknown SLO, alert or check."""
    if spec.gate is None:
        return
    slos = {slo.name for slo in spec.slos}
    ids = {one.id: one for one in spec.gate.checks}
    for one in spec.gate.checks:
        match one.kind:
            case BudgetLeft(slo=slo) if slo not in slos | spec.broken.keys():
                policy.report_unknown(
                    spec, problems, "gate/unknown-slo", one.position, kind="SLO", name=slo, known=slos
                )
            case ScanClean(same_digest_as=other) if other:
                if other not in ids and other not in spec.broken:
                    policy.report_unknown(
                        spec, problems, "gate/unknown-check", one.position, kind="check", name=other, known=ids
                    )
                elif other in ids and not isinstance(ids[other].kind, ImagePinned):
                    hint = "write the id of a check that has `image:`"
                    problems.add(
                        "gate/unknown-check",
                        one.position,
                        f"{one.id}.same_digest_as: the check {other} names no image",
                        hint,
                    )
            case NoneFiring(match=match):
                _check_firing(spec, one, dict(match), problems)
            case _:
                pass


def _check_firing(spec: Spec, one: Check, match: Mapping[str, str], problems: Problems) -> None:
    alert = match.get("alertname", "")
    known = policy.known_alerts(spec)
    if alert and alert not in known | spec.broken.keys():
        policy.report_unknown(spec, problems, "gate/unknown-alert", one.position, kind="alert", name=alert, known=known)
    elif not spec.broken and not any(
        labels.get(names.SEVERITY) == match.get(names.SEVERITY, labels.get(names.SEVERITY))
        for labels in alert_labels.of(spec)
    ):
        severity = match.get(names.SEVERITY, "")
        message = (
            f"the check {one.id} asks for alerts of severity {severity}, but the spec has none"
            if severity
            else f"the check {one.id} asks for alerts, but the spec has none"
        )
        hint = "the check passes always: add such an alert, or remove the check"
        problems.add("gate/unknown-alert", one.position, message, hint, warning=True)
