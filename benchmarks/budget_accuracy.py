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
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

from benchmarks.history import Recording, Series, TimeMachine, live_spans, write_counters
from generator import pipeline
from generator.render.rules.rule_file import Group, RuleFile
from tests.tools import Generation, generations, prometheus_server

HOUR = 3600.0
DAY = 24 * HOUR
LENGTH = 31 * DAY
SCRAPE = 30.0
PODS = 3

Rate = Callable[[float], tuple[float, float]]  # seconds since the start → (requests per second, error ratio)


class Case(Struct, frozen=True, kw_only=True):
    """One kind of month. `allowed` is the error that ours may have, as a ratio; `world` names its outages."""

    name: str
    rate: Rate
    allowed: float = 0.001
    world: str = "quiet"
    poisson: bool = False  # single random events instead of a steady flow
    restart_s: float = 0.0  # pods restart (counters to zero) this often
    restarts: tuple[float, ...] = ()  # or at these times
    churn: bool = False  # a restarted pod has a new name, so that all of its series are new


def daily(at: float) -> float:
    """Requests per second over a day: 1 at night, 19 at noon."""
    return 10 - 9 * math.cos(2 * math.pi * at / DAY)


def steady(at: float) -> tuple[float, float]:
    """An even trickle of errors."""
    return daily(at), 0.003


def incident(begin: float, length: float, ratio: float) -> Rate:
    """Steady, and one incident."""

    def rate(at: float) -> tuple[float, float]:
        return daily(at), ratio if begin <= at < begin + length else 0.002

    return rate


def sparse(_at: float) -> tuple[float, float]:
    """Twenty requests an hour, one in fifty fails."""
    return 20 / HOUR, 0.02


def idle(at: float) -> tuple[float, float]:
    """Traffic in office hours only."""
    return (5.0 if 8 <= at % DAY / HOUR < 17 else 0.0), 0.004


PEAK = 20 * DAY + 12 * HOUR
_BEFORE, _LENGTH = HOUR, 4 * HOUR
_IN_OUTAGE = incident(PEAK - _BEFORE, _LENGTH, 0.06)
# When the raw counters are looked at, after each hour: the last rollup is four and a half minutes old then, the worst.
LOOK_AFTER = 1201.0
_UNTIL_LOOK = incident(PEAK - _BEFORE, _BEFORE + HOUR + LOOK_AFTER - 330, 0.06)

WORLDS: dict[str, tuple[tuple[float, float], ...]] = {
    "quiet": (),
    "outage-3m": ((PEAK, PEAK + 180),),
    "outage-10m": ((PEAK, PEAK + 600),),
    "outage-70m": ((PEAK, PEAK + 4200),),
    "outage-before-look": ((PEAK, PEAK + HOUR + LOOK_AFTER - 100),),
    "outage-4h": ((PEAK - 0.5 * HOUR, PEAK + 3.5 * HOUR),),
    "outages": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 4200) for day in range(3, 31, 3)),
}

CASES = (
    Case(name="steady", rate=steady),
    Case(name="night-incident", rate=incident(20 * DAY, HOUR, 0.3)),
    Case(name="peak-incident", rate=incident(PEAK, HOUR, 0.06)),
    Case(name="sparse", rate=sparse, poisson=True),
    Case(name="idle-hours", rate=idle),
    Case(name="resets", rate=steady, restart_s=DAY),
    Case(name="newborn-churn", rate=steady, restart_s=DAY, churn=True, allowed=0.0028),
    Case(name="outage-3m", rate=_IN_OUTAGE, world="outage-3m"),
    Case(name="outage-10m", rate=_IN_OUTAGE, world="outage-10m"),
    Case(name="outage-70m", rate=_IN_OUTAGE, world="outage-70m"),
    Case(name="outage-4h", rate=_IN_OUTAGE, world="outage-4h"),
    Case(name="ends-before-look", rate=_UNTIL_LOOK, world="outage-70m"),
    Case(name="outage-before-look", rate=_IN_OUTAGE, world="outage-before-look"),
    Case(name="restart-in-outage", rate=_IN_OUTAGE, world="outage-70m", restarts=(PEAK + 2000,), allowed=0.023),
    Case(name="sparse-outages", rate=sparse, poisson=True, world="outages", allowed=0.0048),
)


# -- the past, event by event


class Month(Struct):
    """What a case's counters show, and what really happened in the last 30 days."""

    series: list[Series] = field(default_factory=list)
    errors: int = 0
    total: int = 0

    @property
    def truth(self) -> float:
        """The error ratio of the last 30 days."""
        return self.errors / self.total


def months(cases: Sequence[Case], start: float) -> dict[str, Month]:
    """The month of each case."""
    return {case.name: make_month(case, start) for case in cases}


def make_month(case: Case, start: float) -> Month:
    """Count events of each pod and expose them at each scrape that is not in an outage."""
    month = Month()
    for pod in range(PODS):
        month.series += _pod(case, start, pod, month)
    return month


def _pod(case: Case, start: float, pod: int, month: Month) -> Iterator[Series]:
    random_events = random.Random(f"{case.name}/{pod}")  # noqa: S311 - a repeatable past, not a secret
    outages = WORLDS[case.world]
    offset = pod * 7.0
    restarts = list(case.restarts if pod == 0 else ())
    if case.restart_s:
        restarts += [pod * HOUR + step * case.restart_s for step in range(1, int(LENGTH / case.restart_s))]
    life, name = 0, f"pod-{pod}"
    counters = {"200": 0, "500": 0}
    exposed: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for index in range(int((LENGTH - offset) / SCRAPE)):
        at = offset + index * SCRAPE
        while restarts and at >= restarts[0]:
            restarts.pop(0)
            life += 1
            counters = {"200": 0, "500": 0}
            name = f"pod-{pod}-{life}" if case.churn else name
        _happen(case, at, counters, month, random_events)
        if any(begin <= at < end for begin, end in outages):
            continue
        for code, count in counters.items():
            # A client library shows a labelled counter from its first event on.
            if count or (not case.churn and (name, code) in exposed):
                exposed.setdefault((name, code), []).append((start + at, float(count)))
    for (instance, code), samples in exposed.items():
        yield Series(labels={"job": case.name, "instance": instance, "code": code}, samples=samples)


def _happen(
    case: Case,
    at: float,
    counters: dict[str, int],
    month: Month,
    random_events: random.Random,
) -> None:
    """The events of one pod in the scrape interval that ends at `at`."""
    requests, ratio = case.rate(at)
    expected = {"200": requests * (1 - ratio), "500": requests * ratio}
    for code, per_second in expected.items():
        mean = per_second / PODS * SCRAPE
        # Rounded at random: a strict rhythm could stay in step with scrapes and evaluations for hours.
        count = _poisson(mean, random_events) if case.poisson else int(mean + random_events.random())
        counters[code] += count
        if at > LENGTH - 30 * DAY:
            month.total += count
            month.errors += count if code == "500" else 0


def _poisson(mean: float, random_events: random.Random) -> int:
    limit, product, count = math.exp(-mean), random_events.random(), 0
    while product > limit:
        product *= random_events.random()
        count += 1
    return count


# -- our rules over it


def spec_text(cases: Sequence[Case]) -> str:
    """A spec with one SLO per case, as a user would write it."""
    spec = {
        "apiVersion": "freezeline/v1",
        "service": "bench",
        "owner": {"team": "bench"},
        "defaults": {"window": "30d", "interval": "1m", "scrape": "30s"},
        "slos": {
            case.name: {
                "objective": 99.5,
                "sli": {
                    "bad": f'bench_requests_total{{job="{case.name}",code=~"5.."}}',
                    "total": f'bench_requests_total{{job="{case.name}"}}',
                },
            }
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
    base_spans = live_spans(start + 307, end, outages, 60)
    machine.run(recordings(groups_of([spec_file], "-fast")), base_spans, 60)
    machine.run(recordings(groups_of([shared], "-rollup")), live_spans(start + 331, end, outages, 300), 300)
    instants = [
        span.start + index * HOUR
        for span in live_spans(start + DAY + LOOK_AFTER, end, outages, HOUR)
        for index in range(int((span.end - span.start) / HOUR) + 1)
    ]
    machine.run_in_order(recordings(groups_of([spec_file], "-gap")), instants)
    slow = recordings(groups_of([spec_file], "-slow")) + recordings(groups_of([shared], "-slow"))
    machine.run_in_order(slow, [end - 1])
    ratios = [
        Recording(
            record="rival:error_ratio:rate5m",
            expr=(
                f'(sum(rate(bench_requests_total{{job="{case.name}",code=~"5.."}}[5m]))'
                f' / sum(rate(bench_requests_total{{job="{case.name}"}}[5m])))'
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
        return abs(self.ours) <= self.case.allowed


def one_value(machine: TimeMachine, expr: str, at: float) -> float:
    """The single value of a query; NaN where it gives none."""
    found = machine.query(expr, at)
    return found[0][1] if len(found) == 1 else math.nan


def measure(machine: TimeMachine, case: Case, month: Month, end: float) -> Row:
    """Each form's error for one case."""
    own = f'{{slo="{case.name}",window="budget",scope="{case.world}"}}'
    bad = f'sum(increase(bench_requests_total{{job="{case.name}",code=~"5.."}}[30d]))'
    total = f'sum(increase(bench_requests_total{{job="{case.name}"}}[30d]))'
    recorded = f'rival:error_ratio:rate5m{{job="{case.name}"}}[30d]'
    values = {
        "ours": one_value(machine, f"slo:error_ratio{own}", end),
        "average": one_value(machine, f"sum_over_time({recorded}) / count_over_time({recorded})", end),
        "raw": one_value(machine, f"{bad} / {total}", end),
    }
    errors = {name: value / month.truth - 1 for name, value in values.items()}
    return Row(case=case, truth=month.truth, **errors)


def run(generation: Generation, cases: Sequence[Case], directory: Path, say: Callable[[str], None]) -> list[Row]:
    """Make the past, evaluate all rules over it, compare."""
    start = math.floor((time.time() - LENGTH) / DAY) * DAY
    begun = time.monotonic()
    made = months(cases, start)
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
        for world in dict.fromkeys(case.world for case in cases):
            evaluate_world(machine, world, [case for case in cases if case.world == world], start)
            say(f"world {world} evaluated ({time.monotonic() - begun:.0f} s)")
        return [measure(machine, case, made[case.name], start + LENGTH - 1) for case in cases]


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [f"{'case':<20}{'truth':>10}{'ours':>12}{'allowed':>10}{'average of ratios':>20}{'raw increase[30d]':>20}"]
    for row in rows:
        mark = "" if row.holds else "  ← too far"
        lines.append(
            f"{row.case.name:<20}{row.truth:>9.4%} {row.ours:>+11.3%} {row.case.allowed:>9.2%}"
            f"{row.average:>+19.2%} {row.raw:>+19.2%}{mark}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 1 where ours is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cases = [case for case in CASES if not args.case or case.name in args.case]
    generation = generations()[-1]
    with tempfile.TemporaryDirectory() as folder:
        rows = run(generation, cases, Path(folder) / "prometheus", lambda text: print(text, file=sys.stderr))
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
