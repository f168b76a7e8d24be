"""What an A/B test found at one look. Kept findings can be shown without scipy."""

from __future__ import annotations

import enum
import math
from typing import Literal

from msgspec import Struct


class Arm(Struct, frozen=True, kw_only=True):
    """Bad events and all events of one release, as counted since the stage began."""

    bad: int
    total: int

    @property
    def share(self) -> float:
        """The share of bad events; 0 without events."""
        return self.bad / self.total if self.total else 0.0


class Outcome(enum.Enum):
    """The answer of a look."""

    WORSE = "worse"
    NOT_WORSE = "not_worse"
    UNDECIDED = "undecided"
    CANNOT_TELL = "cannot_tell"


class MetricLook(Struct, frozen=True, kw_only=True):
    """One metric at one look. `needed` is the number of events per arm; `bound` what the `statistic` is compared with.

    The statistic is `z`, or `e` of the e-process: always with `method: anytime`, and once the whole level is spent.
    """

    metric: str
    outcome: Outcome
    canary: Arm
    stable: Arm
    z: float
    bound: float
    statistic: Literal["z", "e"] = "z"
    log_e: float
    low: float
    high: float
    needed: int
    why: str

    @property
    def e(self) -> float:
        """The evidence of the e-process; infinite beyond what a float holds."""
        return math.exp(self.log_e) if self.log_e < 700 else math.inf

    @property
    def time(self) -> float:
        """The information time: the share of the needed events that the smaller arm has, at most 1."""
        return min(1.0, min(self.canary.total, self.stable.total) / self.needed)


class Judgement(Struct, frozen=True, kw_only=True):
    """All metrics at one look, and what they mean together."""

    outcome: Outcome
    why: str
    metrics: tuple[MetricLook, ...]
