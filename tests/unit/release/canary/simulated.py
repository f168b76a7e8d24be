"""Rollouts of a shipped policy under made-up traffic: how often a healthy release is aborted, how fast a bad one.

Traffic comes at a steady rate; bad events come in bursts, as failures do: a burst has a geometric size with the mean
`BURST`. Counts go through the real `judge` and the real reducer.
"""

import functools
import json
import math
import random
from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from release.canary.plan import plan_of
from release.canary.state import FINAL, Phase
from release.canary.verdict import Counts, Measured, Reading, allowed_share, judge
from release.policy.canary import Canary, CanaryGate, QuantileGate, RatioGate
from tests.tools import ROOT
from tests.unit.release.canary.rollouts import Rollout

BURST = 1.5
HEALTHY = 0.5
"""A healthy release has this part of the bad events that its gates allow."""

RATES = (0.5, 1.0, 5.0, 20.0)
SYSTEMS = {"B": "canary-medium", "C": "day0-launch"}


class Ended(Struct, frozen=True, kw_only=True):
    """How one simulated rollout ended, and how long after the first shift."""

    phase: Phase
    after_s: float


def policy(system: str) -> Canary:
    """The canary of a shipped spec."""
    raw = json.loads((ROOT / "rules" / "policy" / f"{SYSTEMS[system]}.policy.json").read_text())
    return msgspec.convert(raw["canary"], Canary)


def rollout(canary: Canary, rate: float, badness: float, dice: random.Random) -> Ended:
    """One rollout whose canary gets `rate` requests a second, with `badness` times the allowed share of bad events."""
    plan = plan_of(canary)
    made = Rollout(plan)
    made.every_s = plan.every_s
    traffic = {gate.id: _traffic(gate, canary.every_s, rate, badness, dice) for gate in canary.gates}
    made.begin()
    begun = made.at
    while made.state.phase not in FINAL:
        found = tuple(_measured(gate, next(traffic[gate.id])) for gate in canary.gates)
        made.tick(found)
    return Ended(phase=made.state.phase, after_s=made.at - begun)


def _measured(gate: CanaryGate, counts: tuple[int, int]) -> Measured:
    return _judged(gate.id, counts, _Same(gate))


class _Same:
    """A gate as a key of the cache: gates of one id are equal within a policy."""

    def __init__(self, gate: CanaryGate) -> None:
        self.gate = gate

    def __hash__(self) -> int:
        return hash(self.gate.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and (self.gate is other.gate or self.gate == other.gate)


@functools.lru_cache(maxsize=1_000_000)
def _judged(_name: str, counts: tuple[int, int], same: _Same) -> Measured:
    gate = same.gate
    if isinstance(gate, RatioGate | QuantileGate):
        return judge(gate, Reading(counts=Counts(bad=counts[0], total=counts[1]), value=gate.value), None)
    return judge(gate, Reading(value=gate.value), None)  # a value that is just good enough


def _traffic(
    gate: CanaryGate, every_s: float, rate: float, badness: float, dice: random.Random
) -> Iterator[tuple[int, int]]:
    """Bad events and all events of the gate's window, look by look."""
    share = float(allowed_share(gate) or 0) if isinstance(gate, RatioGate | QuantileGate) else 0.0
    bins: deque[tuple[int, int]] = deque(maxlen=max(1, round(gate.over_s / every_s)))
    due = 0.0
    while True:
        due += rate * every_s
        total, due = int(due), due - int(due)
        bad = min(total, _bursts(total * share * badness, dice))
        bins.append((bad, total))
        yield sum(one[0] for one in bins), sum(one[1] for one in bins)


def _bursts(expected: float, dice: random.Random) -> int:
    """Bad events of one interval: a Poisson number of bursts of geometric size."""
    limit, number, chance = math.exp(-expected / BURST), 0, dice.random()
    while chance > limit:
        number += 1
        chance *= dice.random()
    return sum(1 + int(math.log(1 - dice.random()) / math.log(1 - 1 / BURST)) for _ in range(number))


def false_aborts(canary: Canary, rate: float, runs: int, seed: int) -> float:
    """The share of healthy rollouts that were aborted."""
    dice = random.Random(seed)
    return sum(rollout(canary, rate, HEALTHY, dice).phase is not Phase.DONE for _ in range(runs)) / runs


def detection(canary: Canary, rate: float, badness: float, runs: int, seed: int) -> tuple[float, float]:
    """The share of bad rollouts that were taken back, and the median time that this took."""
    dice = random.Random(seed)
    ended = [rollout(canary, rate, badness, dice) for _ in range(runs)]
    times = sorted(one.after_s for one in ended if one.phase is Phase.ROLLED_BACK)
    return len(times) / runs, times[len(times) // 2] if times else math.inf
