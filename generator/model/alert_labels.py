"""Which alerts a spec has, by the labels that are known before they fire (contracts: alerts).

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
    """Every alert of the spec, plain ones first, each with the labels that it always has."""
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
    """Whether an alert with these labels begins it; labels of the data may be there."""
    wanted = matchers(trigger, labels[names.SERVICE])
    return all(labels.get(label) == value for label, value in wanted if (label, value) not in trigger.labels)


def begins(rule: PolicyRule, labels: AlertLabels) -> bool:
    """Whether an alert of the spec begins the rule; where the data decides, it does."""
    return may_match(rule.on, labels)
