"""How right the error ratio over 30 days is: our rules and two rival forms, against a truth that is known.

Counters of 31 days are made event by event, so the truth is a count. They become blocks of a real Prometheus; the
rules that `freezeline generate` writes are evaluated over them by its own engine, when the rule manager
would have done so, outages left out (benchmarks/history.py). The rival forms read the same counters:

- average of ratios: the mean of recorded 5-minute ratios, as Sloth records them
- raw increase: `increase(…[30d])` over the raw counters, as Pyrra queries them

Exit code 1 where ours is further from the truth than rules allow for the case.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks import accuracy_table
from benchmarks.accuracy_table import FORMS, Result, Results, fresh
from benchmarks.cases import CASES, LOOK_AFTER, WORLDS
from benchmarks.history import Recording, TimeMachine, live_spans, write_counters
from benchmarks.month_rules import SUM_AGE, fingerprint, recordings, rules_of
from benchmarks.months import DAY, LENGTH, NATIVE_METRIC, Case, Month, months
from tests.tools import Generation, generations, prometheus_server


def evaluate_world(machine: TimeMachine, world: str, cases: Sequence[Case], start: float) -> None:
    """Evaluate all that one Prometheus with these outages would have."""
    rules = rules_of(world, cases)
    end = start + LENGTH
    outages = [(start + begin, start + finish) for begin, finish in WORLDS[world]]
    machine.run(recordings(rules.rollups), live_spans(start + 331, end, outages, 300), 300)
    base_spans = live_spans(start + 307, end, outages, 60)
    machine.run(recordings(rules.bases), base_spans, 60)
    looks = sorted(
        (at, index)
        for index, group in enumerate(rules.repairs)
        for span in live_spans(start + DAY + LOOK_AFTER + index, end, outages, group.interval_ms / 1000)
        for at in span.times(group.interval_ms / 1000)
    )
    for at, index in looks:
        machine.run_in_order(recordings([rules.repairs[index]]), [at])
    machine.run_in_order(recordings(rules.sums), [end - SUM_AGE])
    machine.run_in_order(recordings(rules.slow), [end - 1])
    ratios = [
        Recording(
            record="rival:error_ratio:rate5m",
            expr=(
                f'(sum by (region) (rate(bench_requests_total{{job="{case.name}",code=~"5.."}}[5m]))'
                f' / sum by (region) (rate(bench_requests_total{{job="{case.name}"}}[5m])))'
            ),
            labels={"job": case.name},
        )
        for case in cases
    ]
    machine.run(ratios, base_spans, 60)


class Row(Struct, frozen=True, kw_only=True):
    """Relative errors of the 30-day ratio against the truth; NaN where a form gives no number."""

    case: Case
    truth: float
    ours: float
    average: float
    raw: float

    @property
    def holds(self) -> bool:
        """Whether ours is within what is allowed."""
        allowed = max(self.case.allowed, abs(self.raw)) if self.case.lost else self.case.allowed
        return abs(self.ours) <= allowed


def one_value(machine: TimeMachine, expr: str, at: float) -> float:
    """The single value of a query; NaN where it gives none."""
    found = machine.query(expr, at)
    return found[0][1] if len(found) == 1 else math.nan


def measure(machine: TimeMachine, case: Case, month: Month, end: float) -> Row:
    """Each form's error for one case."""
    group = ',region="new"' if case.grouped else ""
    own = f'{{slo="{case.name}",window="budget",scope="{case.world}"{group}}}'
    bad = f'sum(increase(bench_requests_total{{job="{case.name}",code=~"5.."{group}}}[30d]))'
    total = f'sum(increase(bench_requests_total{{job="{case.name}"{group}}}[30d]))'
    raw = f"{bad} / {total}"
    if case.native:
        raw = f'1 - histogram_fraction(-Inf, 0.5, sum(increase({NATIVE_METRIC}{{job="{case.name}"}}[30d])))'
    recorded = f'rival:error_ratio:rate5m{{job="{case.name}"{group}}}[30d]'
    values = {
        "ours": one_value(machine, f"slo:error_ratio{own}", end),
        "average": one_value(machine, f"sum_over_time({recorded}) / count_over_time({recorded})", end),
        "raw": one_value(machine, raw, end),
    }
    errors = {name: value / month.truth - 1 for name, value in values.items()}
    return Row(case=case, truth=month.truth, **errors)


def run(
    generation: Generation, cases: Sequence[Case], directory: Path, say: Callable[[str], None], seed: int
) -> list[Row]:
    """Make the past, evaluate all rules over it, compare."""
    start = math.floor((time.time() - LENGTH) / DAY) * DAY
    begun = time.monotonic()
    made = months(cases, start, WORLDS, seed)
    say(f"events made ({time.monotonic() - begun:.0f} s)")
    data = directory / "data"
    data.mkdir(parents=True)
    all_series = [series for month in made.values() for series in month.series]
    write_counters(generation.promtool, data, "bench_requests_total", all_series)
    say(f"blocks written ({time.monotonic() - begun:.0f} s)")
    config = "storage: {tsdb: {out_of_order_time_window: 60d}}\n"
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d", "--query.timeout=10m"]
    with prometheus_server(generation, directory, config, flags=flags) as server:
        machine = TimeMachine(server.url)
        for month in made.values():
            machine.remote_write(month.stale)
            for series in (*month.up, *month.native):
                machine.remote_write([series])
        for world in dict.fromkeys(case.world for case in cases):
            evaluate_world(machine, world, [case for case in cases if case.world == world], start)
            say(f"world {world} evaluated ({time.monotonic() - begun:.0f} s)")
        return [measure(machine, case, made[case.name], start + LENGTH - 1) for case in cases]


def result(row: Row) -> Result:
    """A row as it is stored, with the rules and the month that gave it."""
    errors = {form: accuracy_table.number(getattr(row, form)) for form in FORMS}
    return {**errors, "made_of": fingerprint(row.case)}


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [f"{'case':<20}{'truth':>10}{'ours':>12}{'allowed':>10}{'average of ratios':>20}{'raw increase[30d]':>20}"]
    for row in rows:
        mark = "" if row.holds else "  ← too far"
        allowed = "raw" if row.case.lost else f"{row.case.allowed:.2%}"
        lines.append(
            f"{row.case.name:<20}{row.truth:>9.4%} {row.ours:>+11.3%} {allowed:>9}"
            f"{row.average:>+19.2%} {row.raw:>+19.2%}{mark}"
        )
    return "\n".join(lines)


def todo(results: Results, seed: int, names: Sequence[str], *, stale: bool) -> list[Case]:
    """The cases to measure: those named, or all; `stale`: only those whose result is not of the present rules."""
    cases = [case for case in CASES if not names or case.name in names]
    return [case for case in cases if str(seed) not in fresh(results, case)] if stale else cases


def main() -> int:
    """Measure and print; 1 where ours is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", action="append", default=[], help="only this case; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="another month of the same kind")
    parser.add_argument("--stale", action="store_true", help="only cases without a stored result of the present rules")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="store the results, and write them into the documentation")
    args = parser.parse_args()
    cases = todo(accuracy_table.stored(), args.seed, args.case, stale=args.stale)
    generation = generations()[-1]
    with tempfile.TemporaryDirectory() as folder:
        rows = run(generation, cases, Path(folder) / "prometheus", lambda text: print(text, file=sys.stderr), args.seed)
    new = {row.case.name: result(row) for row in rows}
    if args.write:
        accuracy_table.write(accuracy_table.merged(accuracy_table.stored(), args.seed, new))
    print(json.dumps(new) if args.json else table(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
