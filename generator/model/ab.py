"""An A/B test over a stage of a rollout: the values of `ab`."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class AbTest(Struct, frozen=True, kw_only=True):
    """Statistics that compare both versions over a stage. `metrics` are SLOs; `confidence` and `power` are ratios."""

    metrics: tuple[str, ...]
    confidence: Decimal
    power: Decimal
    method: str
    then: str
