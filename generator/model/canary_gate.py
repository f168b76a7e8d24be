"""What is measured while a rollout goes on: the values of `canary.gates`."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position


class CanaryGate(Struct, frozen=True, kw_only=True):
    """A measurement that aborts after `consecutive` breaches in a row. Without a query, the API receives samples."""

    id: str
    query: str
    op: str  # "<=" or ">=": the comparison that must hold
    value: Decimal
    consecutive: int
    position: Position
