"""Which alert leads to which actions, and when a freeze ends: the values of a spec's `policy` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator import names
from generator.model.burn import consumed_label


class Trigger(Struct, frozen=True, kw_only=True):
    """The alerts of the service that start a rule. Empty fields match all. `budget_consumed` is a ratio (1 = all)."""

    alert: str = ""
    slo: str = ""
    tier: str = ""
    severity: str = ""
    budget_consumed: Decimal | None = None
    labels: tuple[tuple[str, str], ...] = ()
    position: Position

    @property
    def alertname(self) -> str:
        """The label `alertname`; "" for any alert."""
        return names.BUDGET_CONSUMED if self.budget_consumed is not None else self.alert


class BudgetRemaining(Struct, frozen=True, kw_only=True):
    """At least this ratio of the budget is left. An empty `slo` means each SLO of the service."""

    slo: str
    at_least: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


class QueryHolds(Struct, frozen=True, kw_only=True):
    """A query of the spec compares true."""

    query: str
    op: str  # ">=" or "<="
    value: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


class Unfreeze(Struct, frozen=True, kw_only=True):
    """When a freeze ends by itself: all conditions hold, and the alert has been resolved for `resolved_for_ms`."""

    resolved_for_ms: int
    all_of: tuple[BudgetRemaining | QueryHolds, ...]
    review_after_ms: int


class PolicyRule(Struct, frozen=True, kw_only=True):
    """One rule: which alerts start it, which actions it starts (`do`), and when its freeze ends."""

    id: str
    on: Trigger
    do: tuple[str, ...]
    unfreeze: Unfreeze
    position: Position


def matchers(trigger: Trigger, service: str) -> tuple[tuple[str, str], ...]:
    """The labels, with their values, that an alert must have. The service is always among them."""
    consumed = consumed_label(trigger.budget_consumed) if trigger.budget_consumed is not None else ""
    known = (
        ("alertname", trigger.alertname),
        (names.BUDGET_CONSUMED_LABEL, consumed),
        (names.SLO, trigger.slo),
        (names.TIER, trigger.tier),
        (names.SEVERITY, trigger.severity),
        *trigger.labels,
        (names.SERVICE, service),
    )
    return tuple((label, value) for label, value in known if value)
