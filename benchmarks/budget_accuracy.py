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
from benchmarks.accuracy_table import FORMS
from benchmarks.cases import CASES, LOOK_AFTER, WORLDS
from benchmarks.history import Recording, TimeMachine, live_spans, write_counters
from benchmarks.months import DAY, LENGTH, NATIVE_METRIC, Case, Month, months
from generator import pipeline
from generator.render.rules.gaps import is_gap_group
from generator.render.rules.rule_file import Group, RuleFile
from tests.tools import Generation, generations, prometheus_server

SUM_AGE = 870.0

# -- our rules over it


def sli(case: Case) -> dict[str, object]:
    """The SLI of a case, as a user would write it."""
    if case.native:
        return {"histogram": f'{NATIVE_METRIC}{{job="{case.name}"}}', "below": 0.5, "native": True}
    total = f'bench_requests_total{{job="{case.name}"}}'
    if case.sli == "good":
        return {"good": f'bench_requests_total{{job="{case.name}",code!~"5.."}}', "total": total}
    return {"bad": f'bench_requests_total{{job="{case.name}",code=~"5.."}}', "total": total}


def spec_text(cases: Sequence[Case]) -> str:
    """A spec with one SLO per case, as a user would write it."""
    spec = {
        "apiVersion": "freezeline/v1",
        "service": "bench",
        "owner": {"team": "bench"},
        "defaults": {"window": "30d", "interval": "1m", "scrape": "30s"},
        "slos": {
            case.name: {
                "objective": float(case.objective),
                "sli": sli(case),
            }
            | ({"group_by": ["region"]} if case.grouped else {})
            for case in cases
        },
    }
    return json.dumps(spec)


def recordings(groups: Sequence[Group]) -> list[Recording]:
    """The recording rules of some groups, in order."""
    return [
        Recording(record=rule.record, expr=rule.expr, labels=rule.labels)
        for group in groups
        for rule in group.rules
        if rule.record
    ]


def groups_of(files: Sequence[RuleFile], ending: str) -> list[Group]:
    """The groups whose names end so."""
    return [group for file in files for group in file.groups if group.name.endswith(ending)]


def evaluate_world(machine: TimeMachine, world: str, cases: Sequence[Case], start: float) -> None:
    """Evaluate all that one Prometheus with these outages would have."""
    loaded = pipeline.load_set([("bench.yaml", spec_text(cases).encode())], scope=world)
    if loaded.problems.errors:
        raise SystemExit("\n".join(problem.message for problem in loaded.problems))
    files = list(pipeline.rule_files(loaded.output_set))
    spec_file, shared = files[0], files[1]
    end = start + LENGTH
    outages = [(start + begin, start + finish) for begin, finish in WORLDS[world]]
    machine.run(recordings(groups_of([spec_file], "-rollup")), live_spans(start + 331, end, outages, 300), 300)
    base_spans = live_spans(start + 307, end, outages, 60)
    machine.run(recordings(groups_of([spec_file], "-fast")), base_spans, 60)
    repairs = [group for group in spec_file.groups if is_gap_group(group.name)]
    looks = sorted(
        (at, index)
        for index, group in enumerate(repairs)
        for span in live_spans(start + DAY + LOOK_AFTER + index, end, outages, group.interval_ms / 1000)
        for at in span.times(group.interval_ms / 1000)
    )
    for at, index in looks:
        machine.run_in_order(recordings([repairs[index]]), [at])
    # The sums over the month are nearly as old as they get.
    machine.run_in_order(recordings(groups_of([shared], "-sum")), [end - SUM_AGE])
    slow = recordings(groups_of([spec_file], "-slow")) + recordings(groups_of([shared], "-slow"))
    machine.run_in_order(slow, [end - 1])
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


def main() -> int:
    """Measure and print; 1 where ours is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="another month of the same kind")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="store the results, and write them into the documentation")
    args = parser.parse_args()
    cases = [case for case in CASES if not args.case or case.name in args.case]
    generation = generations()[-1]
    with tempfile.TemporaryDirectory() as folder:
        rows = run(generation, cases, Path(folder) / "prometheus", lambda text: print(text, file=sys.stderr), args.seed)
    if args.write:
        new = {row.case.name: {form: accuracy_table.number(getattr(row, form)) for form in FORMS} for row in rows}
        accuracy_table.write(accuracy_table.merged(accuracy_table.stored(), args.seed, new))
    if args.json:
        print(
            json.dumps(
                [{"case": row.case.name, "ours": row.ours, "average": row.average, "raw": row.raw} for row in rows]
            )
        )
    else:
        print(table(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
