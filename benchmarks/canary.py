"""How often the shipped canaries abort a healthy release, and how soon they take a bad one back.

Simulated rollouts of the shipped specs B and C: the policy, the verdicts and the state machine are those of `release/`.
Only traffic is made up (benchmarks/canary_traffic.py). `--write` stores the results, and writes the table of
docs/canary.md. Exit code 1 where more than 2 % of the healthy releases are aborted, or an outage is missed.
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
from benchmarks.canary_table import Caught, Row
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

GOOD = Shares(gate=BROKEN, badness=HEALTHY)
BADNESS: Mapping[str, Shares] = {
    "2x": Shares(gate=BROKEN, badness=2),
    "5x": Shares(gate=BROKEN, badness=5),
    "10x": Shares(gate=BROKEN, badness=10),
    "total": Shares(gate=BROKEN, badness=math.inf),
    "later": Shares(gate=BROKEN, badness=math.inf, at_s=600),
}


class Ended(Struct, frozen=True, kw_only=True):
    """How one simulated rollout ended, and how many seconds after the release got traffic, or turned bad."""

    phase: Phase
    after_s: float
    why: str


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
    """One rollout whose canary gets `rate` requests a second. `shares`: how bad the release is, and from when on."""
    made = Rollout(plan_of(canary))
    made.every_s = canary.every_s
    traffic = Traffic(canary, rate, shares, seed)
    made.begin()
    begun = made.at
    while made.state.phase not in FINAL:
        made.tick(judged(traffic.look()))
    return Ended(phase=made.state.phase, after_s=made.at - begun - shares.at_s, why=made.state.why)


def healthy(spec: str, rate: float, runs: int, seed: int) -> int:
    """How many of so many healthy rollouts are aborted."""
    canary = policy(spec)
    judged = Judge(canary)
    ended = (rollout(canary, judged, rate, GOOD, (seed, run)) for run in range(runs))
    return sum(one.phase is not Phase.DONE for one in ended)


def caught(spec: str, rate: float, kind: str, runs: int, seed: int) -> Caught:
    """How many of so many bad rollouts are taken back, and how long that took."""
    canary = policy(spec)
    judged = Judge(canary)
    ended = [rollout(canary, judged, rate, BADNESS[kind], (seed, run)) for run in range(runs)]
    times = sorted(one.after_s for one in ended if one.phase is Phase.ROLLED_BACK and one.after_s >= 0)
    if not times:
        return Caught(runs=runs, caught=0, median_s=None, p95_s=None)
    p95 = times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)]
    return Caught(runs=runs, caught=len(times), median_s=statistics.median_high(times), p95_s=p95)


def row(spec: str, rate: float, runs: int, bad_runs: int, seed: int) -> Row:
    """One line of the table."""
    return Row(
        spec=spec,
        rate=rate,
        runs=runs,
        aborted=healthy(spec, rate, runs, seed),
        bad={kind: caught(spec, rate, kind, bad_runs, seed + 1) for kind in BADNESS},
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
        print(canary_table.line(one), flush=True)
    if args.write:
        canary_table.write(found)
    return 0 if all(canary_table.holds(one) for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
