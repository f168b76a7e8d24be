"""The alerts of a spec, by the labels that are known before the alert fires.

Labels that come from the data (`group_by`, `by`) are not among them.
"""

from __future__ import annotations

from generator import names
from generator.model.burn import consumed_label, consumed_severity
from generator.model.policy import PolicyRule, Trigger, matchers
from generator.model.spec import Slo, Spec

AlertLabels = dict[str, str]

NO_DATA_SEVERITY = "warning"


def of(spec: Spec) -> tuple[AlertLabels, ...]:
    """Every alert of the spec, plain alerts first, each with its fixed labels."""
    plain = tuple(
        {
            "alertname": alert.name,
            names.SEVERITY: alert.severity,
            names.SERVICE: spec.service,
            names.TEAM: alert.team or spec.owner.team,
        }
        for alert in spec.alerts
    )
    return plain + tuple(labels for slo in spec.slos for labels in _of_slo(spec, slo))


def _of_slo(spec: Spec, slo: Slo) -> list[AlertLabels]:
    common = {names.SERVICE: spec.service, names.TEAM: spec.owner.team, names.SLO: slo.name}
    found = [
        {"alertname": names.BUDGET_BURN, names.SEVERITY: tier.severity, names.TIER: tier.name, **common}
        for tier in slo.profile.tiers
    ]
    found += [
        {
            "alertname": names.BUDGET_CONSUMED,
            names.SEVERITY: consumed_severity(share),
            names.BUDGET_CONSUMED_LABEL: consumed_label(share),
            **common,
        }
        for share in slo.profile.consumed
    ]
    return [*found, {"alertname": names.NO_DATA, names.SEVERITY: NO_DATA_SEVERITY, **common}]


def may_match(trigger: Trigger, labels: AlertLabels) -> bool:
    """Whether an alert with these labels may start the trigger; labels of the data may decide."""
    wanted = matchers(trigger, labels[names.SERVICE])
    return all(labels.get(label) == value for label, value in wanted if (label, value) not in trigger.labels)


def begins(rule: PolicyRule, labels: AlertLabels) -> bool:
    """Whether an alert of the spec starts the rule. If labels of the data decide, the answer is yes."""
    return may_match(rule.on, labels)
