"""Whether the conditions to unfreeze are true, as Prometheus says. Anything but a clear yes is a no."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from receiver.plaintext import plain
from receiver.policy.model import Condition
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus

FUTURE_MAX_S = 60.0
"""How far the clocks of Prometheus and the receiver may differ."""

_OPERATORS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


class Judgement(Struct, frozen=True, kw_only=True):
    """Whether a condition is true now, and why not."""

    true: bool
    why: str


class Conditions:
    """Asks Prometheus about conditions. None: receiver.yaml names no Prometheus."""

    def __init__(self, prometheus: Prometheus | None) -> None:
        self._prometheus = prometheus

    async def judge(self, condition: Condition, now: datetime) -> Judgement:
        """Whether every sample of the query meets the condition. No answer, NaN, errors and old samples do not."""
        if self._prometheus is None:
            return Judgement(true=False, why="no Prometheus in receiver.yaml")
        try:
            samples = await self._prometheus.samples(condition.query)
            times = await self._prometheus.samples(f"timestamp({condition.query})") if samples else ()
        except SourceError as error:
            return Judgement(true=False, why=str(error))
        return judge(condition, [one.value for one in samples], [one.value for one in times], now)


def judge(condition: Condition, values: Sequence[Decimal], times: Sequence[Decimal], now: datetime) -> Judgement:
    """Compare samples with a condition: pure. `times` are the samples' times, in seconds."""
    if not values:
        return Judgement(true=False, why="no data")
    if not times or any(not one.is_finite() for one in times):
        return Judgement(true=False, why="a sample's time is no number")
    if now.timestamp() - float(min(times)) > condition.max_age_s:
        return Judgement(true=False, why=f"older than {condition.max_age_s:g} s")
    if float(max(times)) - now.timestamp() > FUTURE_MAX_S:
        return Judgement(true=False, why="a sample is from the future")
    for value in values:
        if value.is_nan() or not _OPERATORS[condition.op](value, condition.value):
            return Judgement(true=False, why=f"{plain(str(value), 20)} is not {condition.op} {condition.value}")
    return Judgement(true=True, why="")
