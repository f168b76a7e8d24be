"""What rules cost: samples read and processor time per SLO and minute, ours beside the rivals' forms.

Each form's rules are evaluated by instant queries against a real Prometheus with 30 days of history; Prometheus itself
counts the samples (`stats=all`), its process clock gives the time, less that of as many empty queries. All forms are
evaluated once a minute (Prometheus' default, and ours), except where a rule's own group says otherwise.

- ours: everything that `freezeline generate` writes for an SLO, its share of the shared set included
- before: the same of another revision of this repository (`--before REVISION`)
- average of ratios: ratios over the raw counters for each window, the 30 days averaged from the 5-minute one (Sloth)
- raw increase: burn rates over the raw counters and `increase(…[30d])` (Pyrra)

The forms take turns in each round, so that a busy machine slows all of them. Ratios of processor time are medians of
the rounds' own ratios. The table also counts rules without a result: a form that finds nothing would look cheap.

With `--growth` it also shows how ours grows with the number of SLOs. Exit code 1 where ours is not 20 × cheaper in
samples than the average of ratios, or a group of ours takes longer than a second.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.history import HTTP_TIMEOUT_S, Recording, Series, TimeMachine, encoded, encoded_labels, write_counters
from benchmarks.months import DAY, HOUR
from benchmarks.processor import processor_s
from benchmarks.revision import checked_out, generated
from generator import names, pipeline
from generator.model.burn import Cadence
from generator.render.rules.rule_file import Group, RuleFile
from generator.units import DAY as DAY_MS
from tests.tools import Generation, PrometheusServer, generations, prometheus_server
from tests.waiting import wait_until

SCRAPE = 30.0
SERIES_PER_SLO = 12
ROUNDS = 5
AIM = 20.0
GROUP_LIMIT_S = 1.0  # at 200 SLOs
HURRIED_MS = 10_000
GROUPS_DEADLINE_S = 600.0
TIMED_FILE = "timed.rules.yml"
RAW_SLOS = 4  # SLOs with raw counters over all 30 days; costs of raw forms are per SLO and do not depend on others
METRIC = "bench_requests_total"
SCOPE = "bench"


class Query(Struct, frozen=True, kw_only=True):
    """One rule of a form: what it evaluates, how often a minute."""

    expr: str
    per_minute: float


class Part(Struct, frozen=True, kw_only=True):
    """Some rules of a form, and how many SLOs they are for."""

    queries: tuple[Query, ...]
    slos: int


Form = tuple[Part, ...]


class Cost(Struct, frozen=True, kw_only=True):
    """What one form costs per SLO and minute. `rounds_s` is the processor time of each round."""

    rules: float
    empty: float  # rules that gave no result
    samples: float
    rounds_s: tuple[float, ...]

    @property
    def cpu_s(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds_s)

    def times(self, other: Cost) -> float:
        """How many times the processor time of another form: the median over the rounds, which both shared."""
        return statistics.median(mine / its for mine, its in zip(self.rounds_s, other.rounds_s, strict=True))


def spec_text(count: int) -> str:
    """A spec with `count` SLOs of ten error and success series each."""
    selector = f'{METRIC}{{job="job-%d"'
    spec = {
        "apiVersion": "freezeline/v1",
        "service": "bench",
        "owner": {"team": "bench"},
        "defaults": {"window": "30d", "interval": "1m", "scrape": "30s"},
        "slos": {
            f"slo-{number}": {
                "objective": 99.5,
                "sli": {
                    "bad": selector % number + ',code=~"5.."}',
                    "total": selector % number + "}",
                },
            }
            for number in range(count)
        },
    }
    return json.dumps(spec)


def queries_of(groups: Iterable[Group]) -> Iterator[Query]:
    """Every rule of some groups."""
    for group in groups:
        for rule in group.rules:
            yield Query(expr=rule.expr, per_minute=60_000 / group.interval_ms)


def rendered(count: int) -> tuple[list[Group], list[Group], Cadence]:
    """Our groups for `count` SLOs: those of the spec, and the shared ones; and their pace."""
    loaded = pipeline.load_set([("bench.yaml", spec_text(count).encode())], scope=SCOPE)
    if loaded.problems.errors:
        raise SystemExit("\n".join(problem.message for problem in loaded.problems))
    spec_file, shared, _ = pipeline.rule_files(loaded.output_set)
    cadence = loaded.output_set.specs[0].slos[0].profile.cadence
    return list(spec_file.groups), list(shared.groups), cadence


def average_of_ratios(number: int) -> Iterator[Query]:
    """Sloth's recording rules for one SLO, with its default windows."""
    bad, total = (f'{METRIC}{{job="job-{number}"{extra}}}' for extra in (',code=~"5.."', ""))
    for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"):
        yield Query(expr=f"sum(rate({bad}[{window}])) / sum(rate({total}[{window}]))", per_minute=1)
    recorded = f'rival:error_ratio:rate5m{{slo="slo-{number}"}}[30d]'
    yield Query(expr=f"sum_over_time({recorded}) / ignoring (window) count_over_time({recorded})", per_minute=1)


def raw_increase(number: int) -> Iterator[Query]:
    """Pyrra's rules for one SLO: burn rates over raw counters, the window's increase each 2.5 min."""
    bad, total = (f'{METRIC}{{job="job-{number}"{extra}}}' for extra in (',code=~"5.."', ""))
    for window in ("5m", "30m", "1h", "2h", "6h", "1d", "4d"):
        yield Query(expr=f"sum(rate({bad}[{window}])) / sum(rate({total}[{window}]))", per_minute=1)
    for selector in (bad, total):
        yield Query(expr=f"sum(increase({selector}[30d]))", per_minute=60 / 150)


# -- history


def raw_series(number: int, start: float, end: float) -> Iterator[Series]:
    """Twelve counters: four pods with three codes each."""
    times = [start + index * SCRAPE for index in range(int((end - start) / SCRAPE))]
    for pod in range(SERIES_PER_SLO // 3):
        for code, slope in (("200", 30.0), ("404", 1.0), ("500", 0.1)):
            labels = {"job": f"job-{number}", "instance": f"pod-{pod}", "code": code}
            yield Series(labels=labels, samples=[(at, float(int(slope * index))) for index, at in enumerate(times)])


def recorded_history(count: int, cadence: Cadence, end: float) -> Iterator[list[Series]]:
    """What our rules (and the rival's 5-minute ratio) would have recorded over 30 days, hour by hour, as it came.

    In that order it lies in Prometheus as if it had been recorded: as full chunks, nothing of it out of order.
    """
    own = [{"service": "bench", "slo": f"slo-{number}", "scope": SCOPE, "profile": "30d"} for number in range(count)]
    rollups = {kind: _encoded(own, names.rollup(kind, 300_000)) for kind in names.KINDS}
    bases = {kind: _encoded(own, names.base(kind, 300_000)) for kind in names.KINDS}
    rivals = [encoded_labels({"__name__": "rival:error_ratio:rate5m", "slo": f"slo-{n}"}) for n in range(RAW_SLOS)]
    hours = 30 * 24
    for hour in range(hours):
        begin = end - (hours - hour) * HOUR
        for kind, value in PACE.items():
            samples = flat(begin, begin + HOUR, cadence.rollup_ms / 1000, value)
            yield [Series(labels=labels, samples=samples) for labels in rollups[kind]]
            if hour >= hours - 25:  # what gap repair compares with lies a day back
                samples = flat(begin, begin + HOUR, cadence.fast_ms / 1000, value)
                yield [Series(labels=labels, samples=samples) for labels in bases[kind]]
        samples = flat(begin, begin + HOUR, 60, 0.0025)
        yield [Series(labels=labels, samples=samples) for labels in rivals]


def _encoded(all_labels: Sequence[dict[str, str]], name: str) -> list[bytes]:
    return [encoded_labels({**labels, "__name__": name}) for labels in all_labels]


PACE = {"total": 4.0, "errors": 0.01}


def flat(begin: float, end: float, step_s: float, value: float) -> bytes:
    """The same value again and again."""
    return encoded([(begin + index * step_s, value) for index in range(int((end - begin) / step_s))])


# -- measuring


class Meter(Struct, frozen=True, kw_only=True):
    """Evaluates queries and reads what they cost from Prometheus itself."""

    server: PrometheusServer
    at: float

    def read(self, query: Query) -> tuple[int, bool]:
        """Samples that Prometheus says it touched, and whether there is a result."""
        words = urllib.parse.urlencode({"query": query.expr, "time": f"{self.at:.3f}", "stats": "all"})
        with urllib.request.urlopen(
            f"{self.server.url}/api/v1/query", data=words.encode(), timeout=HTTP_TIMEOUT_S
        ) as answer:
            data = json.load(answer)["data"]
        return int(data["stats"]["samples"]["totalQueryableSamples"]), bool(data["result"])

    def cpu_s(self) -> float:
        """Processor time of the Prometheus process so far."""
        return processor_s(self.server.process.pid)

    def costs(self, forms: Mapping[str, Form]) -> dict[str, Cost]:
        """Samples of one pass, and processor time round by round, weighed by how often each rule runs a minute."""
        rounds: dict[str, list[float]] = {name: [] for name in forms}
        for number in range(ROUNDS):
            turns = list(forms)
            for name in turns[number % len(turns) :] + turns[: number % len(turns)]:
                rounds[name].append(sum(self._part_s(part) for part in forms[name]))
        return {name: self._cost(form, tuple(rounds[name])) for name, form in forms.items()}

    def _cost(self, form: Form, rounds_s: tuple[float, ...]) -> Cost:
        found = [(query.per_minute, part.slos, *self.read(query)) for part in form for query in part.queries]
        return Cost(
            rules=sum(1 / slos for _, slos, _, _ in found),
            empty=sum(1 / slos for _, slos, _, result in found if not result),
            samples=sum(pace * samples / slos for pace, slos, samples, _ in found),
            rounds_s=rounds_s,
        )

    def _part_s(self, part: Part) -> float:
        by_pace: dict[float, list[Query]] = {}
        for query in part.queries:
            by_pace.setdefault(query.per_minute, []).append(query)
        return sum(pace * self._pass_s(group) for pace, group in by_pace.items()) / part.slos

    def _pass_s(self, queries: Sequence[Query]) -> float:
        """Processor seconds of one pass, without what HTTP and the parser take for as many empty queries."""
        empty = [Query(expr="vector(1)", per_minute=1)] * len(queries)
        return max(self._gross_s(queries) - self._gross_s(empty), 0.0)

    def _gross_s(self, queries: Sequence[Query]) -> float:
        """Processor seconds of one pass; short ones are repeated until the process clock can tell."""
        before, repeats = self.cpu_s(), 0
        deadline = time.monotonic() + 1.0
        while repeats == 0 or (self.cpu_s() - before < 0.3 and time.monotonic() < deadline):
            for query in queries:
                self.read(query)
            repeats += 1
        return (self.cpu_s() - before) / repeats


def groups_s(server: PrometheusServer, groups: Sequence[Group]) -> dict[str, float]:
    """Seconds that one evaluation of each group takes in Prometheus' own rule manager.

    The groups come more often than they would: what one evaluation reads is the same. The best of some, as the machine
    is shared.
    """
    hurried = tuple(replace(group, interval_ms=HURRIED_MS) for group in groups)
    (server.directory / TIMED_FILE).write_text(RuleFile(path=TIMED_FILE, header="", groups=hurried).text()[0])
    server.reload()
    times: dict[str, dict[str, float]] = {group.name: {} for group in groups}

    def evaluated() -> bool:
        for group in server.rule_groups():
            if not group["lastEvaluation"].startswith("0001-"):
                times[group["name"]][group["lastEvaluation"]] = float(group["evaluationTime"])
        return all(len(found) >= ROUNDS for found in times.values())

    wait_until(evaluated, GROUPS_DEADLINE_S, "every group is evaluated some times")
    broken = [rule for group in server.rule_groups() for rule in group["rules"] if rule["health"] != "ok"]
    if broken:
        raise SystemExit(f"rules that do not work: {broken[:3]}")
    return {name: min(found.values()) for name, found in times.items()}


def run(
    generation: Generation, count: int, directory: Path, *, rivals: bool, before: str = ""
) -> tuple[dict[str, Cost], dict[str, float]]:
    """The cost of each form at `count` SLOs, and the seconds that each of our groups takes."""
    end = math.floor(time.time() / 300) * 300.0
    data = directory / "data"
    data.mkdir(parents=True)
    long_ago = end - 30 * DAY
    raw = (
        series
        for number in range(count)
        for series in raw_series(number, long_ago if rivals and number < RAW_SLOS else end - DAY_MS / 1000, end)
    )
    if rivals:
        write_counters(generation.promtool, data, METRIC, raw)
    config = f"rule_files: [{TIMED_FILE}]\nstorage: {{tsdb: {{out_of_order_time_window: 60d}}}}\n"
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d", "--query.timeout=10m"]
    # The shared set is the same for any number of SLOs, which one file of 1 MiB could not hold.
    spec_groups, shared_groups, cadence = rendered(count if rivals else 1)
    with prometheus_server(generation, directory, config, flags=flags) as server:
        machine = TimeMachine(server.url)
        for batch in recorded_history(count, cadence, end):
            machine.remote_write(batch)
        meter = Meter(server=server, at=end - 1)
        if not rivals:
            shared = Part(queries=tuple(queries_of(shared_groups)), slos=count)
            return meter.costs({"shared": (shared,)}), groups_s(server, shared_groups)
        forms = {"ours": _ours(spec_groups, shared_groups, count, cadence)}
        recorded = _recorded(spec_groups, shared_groups)
        machine.run_in_order(recorded, [end - 61, end - 1])
        if before:
            with checked_out(before) as root:
                old_groups, old_shared = generated(root, spec_text(count), SCOPE)
            # One series has one value at one time: what both record is recorded already.
            known = [(rule.record, rule.labels) for rule in recorded]
            missing = [rule for rule in _recorded(old_groups, old_shared) if (rule.record, rule.labels) not in known]
            machine.run_in_order(missing, [end - 61, end - 1])
            forms["before"] = _ours(old_groups, old_shared, count, cadence)
        for name, form in (("average of ratios", average_of_ratios), ("raw increase", raw_increase)):
            queries = tuple(query for number in range(RAW_SLOS) for query in form(number))
            forms[name] = (Part(queries=queries, slos=RAW_SLOS),)
        return meter.costs(forms), groups_s(server, (*spec_groups, *shared_groups))


def _ours(spec_groups: Sequence[Group], shared_groups: Sequence[Group], count: int, cadence: Cadence) -> Form:
    """All of our rules. The repair of long gaps is measured on the SLOs whose raw counters reach back as far."""
    long = [group for group in spec_groups if group.interval_ms == cadence.long_gap_ms]
    wanted = {f"slo-{number}" for number in range(RAW_SLOS)}
    deep = tuple(
        Query(expr=rule.expr, per_minute=60_000 / group.interval_ms)
        for group in long
        for rule in group.rules
        if rule.labels.get(names.SLO) in wanted
    )
    rest = [group for group in (*spec_groups, *shared_groups) if group not in long]
    return Part(queries=tuple(queries_of(rest)), slos=count), Part(queries=deep, slos=RAW_SLOS)


def _recorded(spec_groups: Sequence[Group], shared_groups: Sequence[Group]) -> list[Recording]:
    """Recording rules whose results others read at once."""
    facts = [group for group in spec_groups if group.name.endswith("-slow")]
    return [
        Recording(record=rule.record, expr=rule.expr, labels=rule.labels)
        for group in (*facts, *shared_groups)
        for rule in group.rules
        if rule.record
    ]


def table(costs: Mapping[str, Cost]) -> str:
    """The forms for people, each beside ours."""
    head = f"{'form':<20}{'rules':>7}{'empty':>7}{'samples':>11}{'ratio':>9}{'CPU ms':>9}{'of rounds':>18}{'ratio':>8}"
    lines, ours = [head], costs["ours"]
    for name, cost in costs.items():
        spread = f"{min(cost.rounds_s) * 1000:.2f} to {max(cost.rounds_s) * 1000:.2f}"
        lines.append(
            f"{name:<20}{cost.rules:>7.1f}{cost.empty:>7.1f}{cost.samples:>11,.0f}{cost.samples / ours.samples:>9.3f}"
            f"{cost.cpu_s * 1000:>9.2f}{spread:>18}{cost.times(ours):>8.2f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 1 where ours is not as cheap as promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slos", type=int, default=200)
    parser.add_argument("--before", default="", metavar="REVISION", help="also the rules of this revision")
    parser.add_argument("--growth", type=int, action="append", help="also the shared set at this many SLOs")
    args = parser.parse_args()
    generation = generations()[-1]
    with tempfile.TemporaryDirectory() as folder:
        costs, taken = run(generation, args.slos, Path(folder) / "prometheus", rivals=True, before=args.before)
    print(f"per SLO and minute, {args.slos} SLOs of {SERIES_PER_SLO} series:")
    print(table(costs))
    for name, taken_s in sorted(taken.items(), key=lambda item: -item[1]):
        print(f"{name:<22}{taken_s:>8.3f} s an evaluation")
    for count in args.growth or ():
        with tempfile.TemporaryDirectory() as folder:
            grown_costs, grown_s = run(generation, count, Path(folder) / "prometheus", rivals=False)
        grown = grown_costs["shared"]
        growth = f"{grown.samples:,.0f} samples, {grown.cpu_s * 1000:.2f} CPU ms"
        print(f"shared set at {count} SLOs: {growth} per SLO and minute; slowest group {max(grown_s.values()):.2f} s")
    slowest_s = max(taken.values())
    print(f"slowest group: {slowest_s:.2f} s an evaluation (limit: {GROUP_LIMIT_S:.0f} s)")
    cheaper = costs["average of ratios"].samples / costs["ours"].samples
    print(f"ours reads {cheaper:.1f} × fewer samples than the average of ratios (aim: {AIM:.0f})")
    return 0 if cheaper >= AIM and slowest_s < GROUP_LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
