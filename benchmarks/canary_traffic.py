"""Traffic of a canary, look by look: requests at a steady rate, failures in bursts, more by day than by night."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from release.canary.verdict import allowed_share
from release.policy.canary import Canary, QuantileGate, RatioGate

BURST = 1.5
"""Failures in a burst, on average. Sizes are geometric, so the failures of a minute are negative binomial in effect."""

DAY = 0.5
"""A healthy share of failures rises and falls by this part over a day."""

DAY_S = 86400.0
HEALTHY = 0.5
"""A healthy release has this part of the failures that its gates allow."""

CHUNK = 512
_Counts = NDArray[np.int64]


class Shares(Struct, frozen=True, kw_only=True):
    """How bad the release is: from `at_s` on, `badness` times what `gate` allows. Other gates stay healthy."""

    gate: str
    badness: float
    at_s: float = 0.0


class _Gate:
    """The bad events of one gate in its newest window."""

    def __init__(self, share: float, looks: int) -> None:
        """`share` is what the gate allows, `looks` how many looks its window lasts."""
        self.share = share
        self.looks = looks
        self.bad = _window(looks)
        self.total = _window(looks)


def _window(looks: int) -> _Counts:
    return np.zeros(looks - 1, dtype=np.int64)


class Traffic:
    """Counts of every gate's window, look by look. The same seed gives the same traffic."""

    def __init__(self, canary: Canary, rate: float, shares: Shares, seed: Sequence[int]) -> None:
        """`rate`: the canary's requests a second, in every stage."""
        self._dice = np.random.default_rng(tuple(seed))
        self._every_s = canary.every_s
        self._expected = rate * canary.every_s
        self._shares = shares
        self._phase = self._dice.uniform(0, 2 * math.pi)
        self._gates = {
            gate.id: _Gate(float(allowed_share(gate) or 0), max(1, round(gate.over_s / canary.every_s)))
            for gate in canary.gates
            if isinstance(gate, RatioGate | QuantileGate)
        }
        self._looks = 0
        self._ready: list[Mapping[str, tuple[int, int]]] = []

    def look(self) -> Mapping[str, tuple[int, int]]:
        """Bad events and all events of each gate's window, at the next look."""
        if not self._ready:
            self._ready = self._chunk()
            self._ready.reverse()
        return self._ready.pop()

    def _chunk(self) -> list[Mapping[str, tuple[int, int]]]:
        at_s: NDArray[np.float64] = (np.arange(CHUNK, dtype=np.float64) + self._looks + 1) * self._every_s
        self._looks += CHUNK
        total = self._dice.poisson(self._expected, CHUNK)
        wave = 1 + DAY * np.sin(2 * math.pi * at_s / DAY_S + self._phase)
        sums = {name: self._windows(name, gate, at_s, total, wave) for name, gate in self._gates.items()}
        return [
            {name: (int(bad[look]), int(all_[look])) for name, (bad, all_) in sums.items()} for look in range(CHUNK)
        ]

    def _windows(
        self, name: str, gate: _Gate, at_s: NDArray[np.float64], total: _Counts, wave: NDArray[np.float64]
    ) -> tuple[_Counts, _Counts]:
        bad = np.minimum(total, self._bursts(self._expected * gate.share * HEALTHY * wave))
        if name == self._shares.gate and self._shares.badness != HEALTHY:
            turned = at_s > self._shares.at_s
            bad = np.where(turned, self._bad(gate, total), bad)
        gate.bad, found = _rolled(gate.bad, bad, gate.looks)
        gate.total, all_ = _rolled(gate.total, total, gate.looks)
        return found, all_

    def _bad(self, gate: _Gate, total: _Counts) -> _Counts:
        if self._shares.badness == math.inf:
            return total
        share = min(1.0, gate.share * self._shares.badness)
        return np.minimum(total, self._bursts(np.full(CHUNK, self._expected * share)))

    def _bursts(self, expected: NDArray[np.float64]) -> _Counts:
        """Failures of each interval: a Poisson number of bursts of geometric size."""
        bursts = self._dice.poisson(expected / BURST)
        more = self._dice.negative_binomial(np.maximum(bursts, 1), 1 / BURST)
        found: _Counts = bursts + np.where(bursts > 0, more, 0)
        return found


def _rolled(before: _Counts, new: _Counts, looks: int) -> tuple[_Counts, _Counts]:
    """The newest counts that later windows need, and the sum of each window."""
    joined = np.concatenate((before, new))
    sums = np.concatenate((np.zeros(1, dtype=np.int64), joined.cumsum()))
    return joined[len(joined) - (looks - 1) :], sums[looks:] - sums[:-looks]
