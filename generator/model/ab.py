"""An A/B test over a stage of a rollout: the values of `ab`."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class AbTest(Struct, frozen=True, kw_only=True):
    """Statistics that compare both releases over a stage. `metrics` are gates of the canary that count events.

    `detect` is the smallest rise of a bad share that matters, relative to the stable release's share. With
    `assignment` "user", the counts must be of users, or `variance_inflation` says how much more requests vary.
    """

    metrics: tuple[str, ...]
    confidence: Decimal
    power: Decimal
    detect: Decimal
    method: str
    assignment: str
    variance_inflation: Decimal | None
    then: str
