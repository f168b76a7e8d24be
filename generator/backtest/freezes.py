"""When each rule of a policy would have frozen the service, and when the freeze would have ended by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from generator.backtest.grid import Grid, Interval
from generator.backtest.slos import Firing
from generator.model.actions import FreezeAction
from generator.model.policy import PolicyRule, matchers
from generator.model.spec import Spec
from generator.units import SECOND


class FreezeOf(Struct, frozen=True, kw_only=True):
    """A freeze: the rule, the alert that began it, and its time."""

    rule: str
    alert: str
    interval: Interval


Holds = Callable[[PolicyRule], Sequence[Sequence[bool]]]
"""Gives, for each condition of a rule's unfreeze, whether the condition holds at each instant."""


def of(spec: Spec, grid: Grid, firings: Iterable[Firing], holds: Holds) -> tuple[FreezeOf, ...]:
    """Every freeze, sorted by its beginning."""
    found = []
    for rule in spec.policy:
        if not any(isinstance(spec.actions.get(name), FreezeAction) for name in rule.do):
            continue
        wanted = matchers(rule.on, spec.service)
        conditions = holds(rule)
        for firing in firings:
            if all(firing.labels.get(label) == value for label, value in wanted):
                found += [
                    FreezeOf(rule=rule.id, alert=firing.name, interval=one)
                    for one in _episodes(rule, grid, firing, conditions)
                ]
    return tuple(sorted(found, key=lambda one: (one.interval.start, one.rule, one.alert)))


def _episodes(rule: PolicyRule, grid: Grid, firing: Firing, conditions: Sequence[Sequence[bool]]) -> Iterable[Interval]:
    """The freezes of one alert. A firing that begins before the freeze of the one before has ended prolongs that."""
    start: int | None = None
    for number, one in enumerate(firing.intervals):
        start = one.start if start is None else start
        end = _end(rule, grid, Interval(start=start, end=one.end, open=one.open), conditions)
        following = firing.intervals[number + 1] if number + 1 < len(firing.intervals) else None
        if following is not None and end is not None and following.start > end:
            yield Interval(start=start, end=end)
            start = None
        elif following is None:
            yield Interval(start=start, end=grid.end if end is None else end, open=end is None)


def _end(rule: PolicyRule, grid: Grid, episode: Interval, conditions: Sequence[Sequence[bool]]) -> int | None:
    """When the freeze ends: everything holds for its time, or a review finds the alert resolved. None: not yet.

    `episode` lasts from the first firing to the last resolve.
    """
    if episode.open:
        return None
    resolved_for_s = rule.unfreeze.resolved_for_ms // SECOND
    waits_s = [condition.held_for_ms // SECOND for condition in rule.unfreeze.all_of]
    review_s = rule.unfreeze.review_after_ms // SECOND
    for index in range(grid.index(episode.end), grid.count):
        at = grid.at(index)
        if review_s and (at - episode.start) // review_s > episode.seconds // review_s:
            return at
        if at - episode.end >= resolved_for_s and all(
            _held(holds, grid, index, wait_s) for holds, wait_s in zip(conditions, waits_s, strict=True)
        ):
            return at
    return None


def _held(holds: Sequence[bool], grid: Grid, index: int, wait_s: int) -> bool:
    """Whether a condition has held without a break for its time."""
    first = index - wait_s // grid.step
    return first >= 0 and all(holds[first : index + 1])


def union(freezes: Iterable[FreezeOf]) -> tuple[Interval, ...]:
    """The times in which at least one freeze holds."""
    merged: list[Interval] = []
    for one in sorted((freeze.interval for freeze in freezes), key=lambda one: one.start):
        if merged and one.start <= merged[-1].end:
            last = merged.pop()
            longer = one if one.end > last.end else last
            merged.append(Interval(start=last.start, end=longer.end, open=last.open or one.open))
        else:
            merged.append(one)
    return tuple(merged)
