"""How the shipped canaries treat healthy releases, and how soon they stop bad ones.

Simulated rollouts of the shipped specs B and C: the policy, the verdicts and the state machine are those of `release/`.
Only traffic is made up (benchmarks/canary_traffic.py). `--write` stores the results, and writes the table of
docs/canary.md. Exit code 1 where more than 2 % of the healthy releases are aborted, or a bad one is promoted.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks import canary_table
from benchmarks.canary_table import Fate, Row
from benchmarks.canary_traffic import HEALTHY, Shares, Traffic
from release.canary.plan import plan_of
from release.canary.state import FINAL, Phase
from release.canary.verdict import Counts, Measured, Reading, judge
from release.policy.canary import Canary, CanaryGate, QuantileGate, RatioGate
from tests.unit.release.canary.rollouts import Rollout

POLICIES = Path(__file__).parent.parent / "rules" / "policy"
SPECS = {"B": "canary-medium", "C": "day0-launch"}
RATES = (0.5, 1.0, 5.0, 20.0)
BROKEN = "errors"
"""The gate that a bad release breaks: the others stay healthy."""

PATIENCE_S = 86400.0
"""After so long a hold, somebody decides: the simulated rollout ends as held."""

GOOD = Shares(gate=BROKEN, badness=HEALTHY)
BADNESS: Mapping[str, Shares] = {
    "2x": Shares(gate=BROKEN, badness=2),
    "5x": Shares(gate=BROKEN, badness=5),
    "10x": Shares(gate=BROKEN, badness=10),
    "total": Shares(gate=BROKEN, badness=math.inf),
    "later": Shares(gate=BROKEN, badness=math.inf, at_s=600),
}


class Ended(Struct, frozen=True, kw_only=True):
    """How one simulated rollout ended, and how many seconds after the release got traffic, or turned bad.

    `held`: whether people were told of a hold, at the end or before.
    """

    phase: Phase
    after_s: float
    why: str
    held: bool


def policy(spec: str) -> Canary:
    """The canary of a shipped spec."""
    raw = json.loads((POLICIES / f"{SPECS[spec]}.policy.json").read_text(encoding="utf-8"))
    return msgspec.convert(raw["canary"], Canary)


class Judge:
    """The verdicts of a canary's gates on counts, each asked for once."""

    def __init__(self, canary: Canary) -> None:
        """Nothing is judged yet."""
        self._gates = canary.gates
        self._known: dict[tuple[str, int, int], Measured] = {}

    def __call__(self, counts: Mapping[str, tuple[int, int]]) -> tuple[Measured, ...]:
        """One look: every gate, in the order of the policy."""
        return tuple(self._one(gate, *counts.get(gate.id, (0, 0))) for gate in self._gates)

    def _one(self, gate: CanaryGate, bad: int, total: int) -> Measured:
        key = (gate.id, bad, total)
        if key not in self._known:
            self._known[key] = judge(gate, _reading(gate, bad, total), None)
        return self._known[key]


def _reading(gate: CanaryGate, bad: int, total: int) -> Reading:
    if isinstance(gate, RatioGate | QuantileGate):
        return Reading(counts=Counts(bad=bad, total=total), value=gate.value)
    return Reading(value=gate.value)  # a gauge that is just good enough


def rollout(canary: Canary, judged: Judge, rate: float, shares: Shares, seed: Sequence[int]) -> Ended:
    """One rollout whose canary gets `rate` requests a second. `shares`: how bad the release is, and from when on.

    A rollout that holds for longer than `PATIENCE_S` ends in the phase in which it holds.
    """
    made = Rollout(plan_of(canary))
    made.every_s = canary.every_s
    traffic = Traffic(canary, rate, shares, seed)
    made.begin()
    begun = free_at = made.at
    while made.state.phase not in FINAL and made.at - free_at < PATIENCE_S:
        made.tick(judged(traffic.look()))
        free_at = free_at if made.state.holds else made.at
    held = "canary_held" in made.told()
    return Ended(phase=made.state.phase, after_s=made.at - begun - shares.at_s, why=made.state.why, held=held)


def fate(spec: str, rate: float, shares: Shares, runs: int, seed: int) -> Fate:
    """How so many rollouts of releases of one kind end, and after how long."""
    canary = policy(spec)
    judged = Judge(canary)
    ended = [rollout(canary, judged, rate, shares, (seed, run)) for run in range(runs)]
    times = {
        phase: sorted(one.after_s for one in ended if one.phase is phase) for phase in (Phase.DONE, Phase.ROLLED_BACK)
    }
    promoted, aborted = len(times[Phase.DONE]), len(times[Phase.ROLLED_BACK])
    decided = times[Phase.DONE if shares is GOOD else Phase.ROLLED_BACK]
    p95 = min(len(decided) - 1, math.ceil(0.95 * len(decided)) - 1)
    return Fate(
        runs=runs,
        promoted=promoted,
        aborted=aborted,
        held=runs - promoted - aborted,
        told_of_hold=sum(one.held for one in ended),
        median_s=statistics.median_high(decided) if decided else None,
        p95_s=decided[p95] if decided else None,
    )


def row(spec: str, rate: float, runs: int, bad_runs: int, seed: int) -> Row:
    """One line of the table."""
    return Row(
        spec=spec,
        rate=rate,
        healthy=fate(spec, rate, GOOD, runs, seed),
        bad={kind: fate(spec, rate, shares, bad_runs, seed + 1) for kind, shares in BADNESS.items()},
    )


def rows(runs: int, bad_runs: int, seed: int, workers: int) -> Iterator[Row]:
    """Every line of the table, in order."""
    with ProcessPoolExecutor(workers) as pool:
        made = [pool.submit(row, spec, rate, runs, bad_runs, seed) for spec in SPECS for rate in RATES]
        for one in made:
            yield one.result()


def main() -> int:
    """Simulate and print; 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=500, help="healthy rollouts for each line")
    parser.add_argument("--bad-runs", type=int, default=100, help="bad rollouts of each kind for each line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--write", action="store_true", help="store the results, and write them into docs/canary.md")
    args = parser.parse_args()
    found: list[Row] = []
    for one in rows(args.runs, args.bad_runs, args.seed, args.workers):
        if not found:
            print(*canary_table.HEAD, sep="\n")
        found.append(one)
        print(*canary_table.lines(one), sep="\n", flush=True)
    if args.write:
        canary_table.write(found)
    return 0 if all(canary_table.holds(one) for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
