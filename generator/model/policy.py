"""Which alert leads to which actions, and when a freeze ends: the values of a spec's `policy` section."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator import names
from generator.model.burn import consumed_label


class Trigger(Struct, frozen=True, kw_only=True):
    """Which alerts of the service begin it; what is empty does not matter. `budget_consumed` is a ratio (1 = all)."""

    alert: str = ""
    slo: str = ""
    tier: str = ""
    severity: str = ""
    budget_consumed: Decimal | None = None
    labels: tuple[tuple[str, str], ...] = ()
    position: Position

    @property
    def alertname(self) -> str:
        """The label `alertname`, or "" for any."""
        return names.BUDGET_CONSUMED if self.budget_consumed is not None else self.alert


class BudgetRemaining(Struct, frozen=True, kw_only=True):
    """At least this ratio of the budget is left. No `slo`: of each SLO of the service."""

    slo: str
    at_least: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


class QueryHolds(Struct, frozen=True, kw_only=True):
    """A query of the user's own compares true."""

    query: str
    op: str  # ">=" or "<="
    value: Decimal
    held_for_ms: int
    max_age_ms: int
    position: Position


class Unfreeze(Struct, frozen=True, kw_only=True):
    """When the freeze goes by itself: all of it holds and the alert has been resolved for `resolved_for_ms`."""

    resolved_for_ms: int
    all_of: tuple[BudgetRemaining | QueryHolds, ...]
    review_after_ms: int


class PolicyRule(Struct, frozen=True, kw_only=True):
    """One line of policy: on this, do that, until then. `do` names actions."""

    id: str
    on: Trigger
    do: tuple[str, ...]
    unfreeze: Unfreeze
    position: Position


def matchers(trigger: Trigger, service: str) -> tuple[tuple[str, str], ...]:
    """The labels that an alert must have, each with its value; the service always."""
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
