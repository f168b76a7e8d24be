"""What a real Prometheus takes to evaluate parts of 10,000 SLOs that `generate --shard` has written.

The rule manager evaluates every file of the parts for some minutes, beside twelve raw series for each SLO and 30 days
of recorded rollups. The processor time is that of the whole Prometheus, scrapes and storage included.

Groups begin at times of their own, so some minutes hold their share of groups that come seldom: sums come every 15 min.
Gap repair comes every two hours; `./dev bench rule_cost` measures it.

    ./dev bench shard_evaluation --parts 8

Exit code 1 where a rule fails, an evaluation is missed, or a group takes longer than half its interval.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from benchmarks.generate import SLOS_PER_FILE, write_specs
from benchmarks.history import Series, TimeMachine, encoded, encoded_labels
from benchmarks.paired import FREEZELINE
from benchmarks.processor import processor_s
from benchmarks.rule_cost import PACE, SCRAPE, SERIES_PER_SLO, flat
from generator import names
from tests.tools import PrometheusServer, generations, prometheus_server, request
from tests.waiting import wait_until

OF = 8
SLOS = 10_000
HOUR_S, MINUTE_S = 3600.0, 60.0
RAW_PAST_S = HOUR_S / 4
BASE_HOURS = 7  # rules of the longest window over base series read 2 h
START_S = 600.0
METRIC = "http_requests_total"  # of `write_specs`
SLOPES = {"200": 30.0, "404": 1.0, "500": 0.1}
CONFIG = "storage: {{tsdb: {{out_of_order_time_window: 60d}}}}\nrule_files: [{files}]\n"
FLAGS = ("--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d")
MISSED, FAILED = "prometheus_rule_group_iterations_missed_total", "prometheus_rule_evaluation_failures_total"
READ = "prometheus_engine_query_samples_total"


class Recorded(Struct, frozen=True, kw_only=True):
    """A rollup or base series that rules record: its labels, how often, and which kind of events it counts."""

    labels: bytes
    step_s: float
    kind: str
    is_base: bool


class Found(Struct, frozen=True, kw_only=True):
    """What an evaluation of some parts took."""

    parts: int
    slos: int
    rules: int
    series: float
    cpu_s: float  # of the whole Prometheus, a minute
    samples_read: float  # a minute
    missed: float
    failed: float
    slowest: str
    share: float  # of its interval that the slowest group takes
    gibibytes: float


def generated(folder: Path, parts: int) -> list[Path]:
    """The rule files of the first parts."""
    write_specs(folder / "specs", SLOS, SLOS_PER_FILE)
    for part in range(1, parts + 1):
        words = ("--only", "rules", "--scope", "all", "--shard", f"{part}/{OF}")
        command = (FREEZELINE, "generate", *words, str(folder / "specs"), "-o", str(folder / "out"))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return sorted(folder.glob("out/shard-*/rules/*.rules.yml"))


def groups_of(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Every group of the files."""
    for file in files:
        yield from yaml.load(file.read_bytes(), yaml.CSafeLoader)["groups"]


def recorded(files: Sequence[Path]) -> list[Recorded]:
    """The series of which the rules need a past."""
    wanted = {names.rollup(kind, 300_000): (kind, False) for kind in names.KINDS}
    wanted |= {names.base(kind, 300_000): (kind, True) for kind in names.KINDS}
    found = []
    for group in groups_of(files):
        step_s = 300.0 if str(group["name"]).endswith("-rollup") else MINUTE_S
        for rule in group["rules"]:
            if rule.get("record") in wanted and "repair" not in rule["labels"]:
                kind, is_base = wanted[rule["record"]]
                labels = encoded_labels({**rule["labels"], "__name__": rule["record"]})
                found.append(Recorded(labels=labels, step_s=step_s, kind=kind, is_base=is_base))
    return found


def jobs_of(groups: Sequence[dict[str, Any]]) -> list[str]:
    """The names of all SLOs, which are also those of their jobs."""
    labels = [rule.get("labels", {}) for group in groups for rule in group["rules"]]
    return sorted({found[names.SLO] for found in labels if names.SLO in found})


def write_past(machine: TimeMachine, series: Sequence[Recorded], end: float, days: int) -> None:
    """What the rules would have recorded, hour by hour, as it came."""
    for hours_ago in range(days * 24, 0, -1):
        begin = end - hours_ago * HOUR_S
        due = [each for each in series if not each.is_base or hours_ago <= BASE_HOURS]
        samples = {
            (kind, step_s): flat(begin, begin + HOUR_S, step_s, PACE[kind])
            for kind, step_s in {(each.kind, each.step_s) for each in due}
        }
        machine.remote_write([Series(labels=each.labels, samples=samples[each.kind, each.step_s]) for each in due])


class Traffic:
    """The raw counters of every SLO, scraped every 30 s."""

    def __init__(self, jobs: Sequence[str], begin: float) -> None:
        self._begin = self._next = begin
        self._series = [
            (encoded_labels({"__name__": METRIC, "job": job, "instance": f"pod-{pod}", "code": code}), code)
            for job in jobs
            for pod in range(SERIES_PER_SLO // len(SLOPES))
            for code in SLOPES
        ]

    def push(self, machine: TimeMachine) -> None:
        """Hand over every scrape up to now."""
        while self._next <= time.time():
            at = self._next
            values = {code: encoded([(at, float(int(slope * (at - self._begin))))]) for code, slope in SLOPES.items()}
            machine.remote_write([Series(labels=labels, samples=values[code]) for labels, code in self._series])
            self._next += SCRAPE

    def live(self, machine: TimeMachine, seconds: float) -> None:
        """Scrape for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.push(machine)
            time.sleep(1)


def metric(server: PrometheusServer, name: str) -> float:
    """The sum of a metric of Prometheus itself."""
    lines = request("GET", f"{server.url}/metrics").decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def evaluate(folder: Path, parts: int, minutes: float, days: int) -> Found:
    """Evaluate the first parts for so many minutes."""
    files = generated(folder, parts)
    groups = list(groups_of(files))
    past = recorded(files)
    jobs = jobs_of(groups)
    with prometheus_server(generations()[-1], folder / "prometheus", CONFIG.format(files=""), flags=FLAGS) as server:
        machine = TimeMachine(server.url)
        begin = time.time() // 300 * 300
        write_past(machine, past, begin, days)
        traffic = Traffic(jobs, begin - RAW_PAST_S)
        traffic.push(machine)
        (server.directory / "prometheus.yml").write_text(CONFIG.format(files=", ".join(f"'{file}'" for file in files)))
        with urllib.request.urlopen(f"{server.url}/-/reload", data=b"", timeout=START_S) as answer:
            answer.read()
        traffic.push(machine)
        wait_until(lambda: started(server, traffic, machine), START_S, "every fast group is evaluated")
        before = [metric(server, name) for name in (MISSED, FAILED, READ)]
        spent = spent_s(server, machine, traffic, minutes * MINUTE_S)
        after = [metric(server, name) for name in (MISSED, FAILED, READ)]
        missed, failed, read = (late - early for early, late in zip(before, after, strict=True))
        share, slowest = max(
            (float(group["evaluationTime"]) / float(group["interval"]), group["name"]) for group in rule_groups(server)
        )
        return Found(
            parts=parts,
            slos=len(jobs),
            rules=sum(len(group["rules"]) for group in groups),
            series=metric(server, "prometheus_tsdb_head_series"),
            cpu_s=spent,
            samples_read=read / minutes,
            missed=missed,
            failed=failed,
            slowest=slowest,
            share=share,
            gibibytes=metric(server, "process_resident_memory_bytes") / 2**30,
        )


def rule_groups(server: PrometheusServer) -> list[dict[str, Any]]:
    """Every group that the server evaluates. The answer for many rules takes a while."""
    with urllib.request.urlopen(f"{server.url}/api/v1/rules", timeout=START_S) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["groups"]
    return found


def started(server: PrometheusServer, traffic: Traffic, machine: TimeMachine) -> bool:
    """Whether every group that comes each minute has been evaluated."""
    traffic.push(machine)
    groups = [group for group in rule_groups(server) if float(group["interval"]) <= MINUTE_S]
    return bool(groups) and not any(group["lastEvaluation"].startswith("0001-") for group in groups)


def spent_s(server: PrometheusServer, machine: TimeMachine, traffic: Traffic, seconds: float) -> float:
    """Processor seconds a minute while scrapes come for so long."""
    before, clock = processor_s(server.process.pid), time.monotonic()
    traffic.live(machine, seconds)
    return (processor_s(server.process.pid) - before) / (time.monotonic() - clock) * MINUTE_S


def show(found: Found) -> str:
    """A row of docs/scale.md, and what else there is to say."""
    return (
        f"| {found.slos:,} in {found.parts} | {found.rules:,} | {found.series:,.0f} | {found.cpu_s:.1f} s | "
        f"{found.samples_read / 1e6:.1f} million | {found.gibibytes:.1f} GiB | {found.share:.0%} |\n"
        f"missed {found.missed:.0f}, failed {found.failed:.0f}; the slowest group for its interval: {found.slowest}"
    ).replace("%", " %")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where the rules do not keep up."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", type=int, nargs="+", default=[1, OF], help=f"how many of {OF} parts")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--days", type=int, default=30, help="how much past the rules have")
    args = parser.parse_args(arguments)
    rows = []
    print("| SLOs in parts | rules | series | processor a minute | samples read a minute | memory | slowest group |")
    for parts in args.parts:
        with tempfile.TemporaryDirectory(prefix="freezeline-shards-") as folder:
            rows.append(evaluate(Path(folder), parts, args.minutes, args.days))
        print(show(rows[-1]), flush=True)
    return 1 if any(row.missed or row.failed or row.share > 1 / 2 for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
