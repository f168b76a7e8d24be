"""Which alerts a spec has, by the labels that are known before they fire (contracts: alerts).

Labels that come from the data (`group_by`, `by`) are not among them.
"""

from __future__ import annotations

from decimal import Decimal

from generator import names
from generator.model import Slo, Spec
from generator.units import decimal_text

AlertLabels = dict[str, str]

NO_DATA_SEVERITY = "warning"


def consumed_severity(share: Decimal) -> str:
    """Severity of SLOBudgetConsumed: critical once the whole budget is spent."""
    return "critical" if share >= 1 else "warning"


def consumed_label(share: Decimal) -> str:
    """A share of the budget as the label `budget_consumed` gives it: 0.5 → `50`."""
    return decimal_text(share.scaleb(2))


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
