"""A real Prometheus with a past: raw series written as blocks, rules evaluated over them, then scraped live.

The past is made by the same meters that the exporter serves afterwards, so counters go on where it ends.
"""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from generator.model.spec import OutputSet
from generator.pipeline import rule_files
from tests.acceptance.dashboards.meter import Labels, Sample, System, Target
from tests.tools import Generation, PrometheusServer, prometheus_server

SCRAPE_S = 5
# Slow groups only read recorded rollups, so evaluating them more often changes nothing but how soon alerts are there.
SLOW_GROUPS_S = 15
PROMTOOL_LIMIT_S = 300

RuleData = dict[str, Any]


class World(Struct):
    """All systems, moved on together. `start` is when their live part begins; times are Unix seconds."""

    systems: Sequence[System]
    start: float
    now: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, to: float) -> None:
        """Move every meter on."""
        dt = to - self.now
        if dt <= 0:
            return
        for system in self.systems:
            trouble = system.trouble(to - self.start)
            for target in system.targets:
                target.step(target.meter, to, dt, trouble)
        self.now = to

    def targets(self) -> Iterator[tuple[Target, bool]]:
        """Every scrape target, and whether it is up."""
        for system in self.systems:
            trouble = system.trouble(self.now - self.start)
            for target in system.targets:
                yield target, trouble < target.down_above


@contextlib.contextmanager
def exporter(world: World) -> Iterator[int]:
    """Serve every target at its path in Prometheus' text format; a target that is down answers 503. Gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with world.lock:
                world.advance(time.time())
                found = {target.path: (target, up) for target, up in world.targets()}
                target, up = found[self.path]
                lines = [f"{series(name, labels)} {value!r}\n" for name, labels, value in target.meter.samples()]
            body = "".join(lines).encode()
            self.send_response(200 if up else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def series(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """A series as text."""
    inner = ",".join(f'{label}="{value}"' for label, value in labels)
    return f"{name}{{{inner}}}" if inner else name


def write_past(world: World, path: Path, end: float, step_s: float, only: re.Pattern[str] | None = None) -> None:
    """Move the world to `end` and write what would have been scraped, as OpenMetrics. `only` narrows the names."""
    past: dict[str, list[str]] = {}
    while world.now + step_s <= end:
        world.advance(world.now + step_s)
        for target, up in world.targets():
            own: Labels = (("job", target.job), ("instance", target.instance), *target.labels)
            scraped: list[Sample] = [("up", (), float(up))]
            if up:
                scraped += target.meter.samples()
            for name, labels, value in scraped:
                if only is None or only.fullmatch(name):
                    past.setdefault(series(name, (*labels, *own)), []).append(f"{value!r} {world.now:.3f}\n")
    with path.open("w") as file:
        for text, samples in sorted(past.items()):
            file.writelines(f"{text} {sample}" for sample in samples)
        file.write("# EOF\n")


def config(targets: Iterable[Target], port: int, rules: Iterable[str]) -> str:
    """Prometheus' configuration. `job`, `instance` and the target's labels are as in the past."""
    jobs: dict[str, list[Target]] = {}
    for target in targets:
        jobs.setdefault(target.job, []).append(target)
    scrapes = [
        {
            "job_name": job,
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{port}"],
                    "labels": {"__metrics_path__": one.path, "instance": one.instance, **dict(one.labels)},
                }
                for one in found
            ],
        }
        for job, found in jobs.items()
    ]
    everything = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": "15s"},
        "rule_files": list(rules),
        "scrape_configs": scrapes,
    }
    return yaml.safe_dump(everything)


def write_rules(output_set: OutputSet, directory: Path) -> list[str]:
    """The generated rule files; slow groups are evaluated more often than they say."""
    paths = []
    for file in rule_files(output_set):
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        text, _ = file.text()
        groups = yaml.safe_load(text)
        for group in groups["groups"]:
            if group["name"].endswith("-slow"):
                group["interval"] = f"{SLOW_GROUPS_S}s"
        path.write_text(yaml.safe_dump(groups, sort_keys=False))
        paths.append(str(path))
    return paths


def levels(rules: Iterable[str]) -> list[list[RuleData]]:
    """The recording rules by level: each reads nothing but levels before it. There are no gaps to repair."""
    groups = [group for path in rules for group in yaml.safe_load(Path(path).read_text())["groups"]]
    waiting: list[RuleData] = [
        {"name": group["name"], "interval": group["interval"], "rules": [rule]}
        for group in groups
        for rule in group["rules"]
        if "record" in rule and not re.search(r":(missing|increase)\w*", rule["record"] + rule["expr"])
    ]
    found: list[list[RuleData]] = []
    while waiting:
        names = {_key(one["rules"][0]) for one in waiting}
        ready = [one for one in waiting if not any(_reads(one["rules"][0]["expr"], name) for name in names)]
        if not ready:
            raise AssertionError(f"rules read each other in a circle: {sorted(names)}")
        found.append(ready)
        waiting = [one for one in waiting if one not in ready]
    return found


def write_level(path: Path, level: Iterable[RuleData], interval_s: int | None) -> None:
    """One level as a rule file, evaluated as often as its groups say or, for a long past, every `interval_s`.

    The moments of evaluation follow from the names of file and group: they must be the same for all levels, or errors
    would be told from a total of another moment. A rollup is a sum over five minutes of samples, divided by how many
    there should be: of one sample it is that one.
    """
    groups: dict[str, RuleData] = {}
    for one in level:
        rule = dict(one["rules"][0])
        if interval_s is not None and rule["record"].endswith(":rollup5m"):
            rule["expr"] = re.sub(r"sum_over_time\((.*)\) / [\d.]+", r"avg_over_time(\1)", rule["expr"])
        interval = one["interval"] if interval_s is None else f"{interval_s}s"
        groups.setdefault(one["name"], {"name": one["name"], "interval": interval, "rules": []})["rules"].append(rule)
    path.write_text(yaml.safe_dump({"groups": list(groups.values())}, sort_keys=False))


def _key(rule: Mapping[str, object]) -> str:
    """What other rules read it by: error ratios differ by their window."""
    labels = rule.get("labels")
    window = labels.get("window") if isinstance(labels, dict) else None
    return f"{rule['record']}|{window}" if window else str(rule["record"])


def _reads(expr: str, key: str) -> bool:
    name, _, window = key.partition("|")
    found = re.findall(rf"(?<![\w:]){re.escape(name)}(?![\w:])(\{{[^}}]*\}})?", expr)
    return any(not window or f'window="{window}"' in selector or "window" not in selector for selector in found)


class Past(Struct, frozen=True, kw_only=True):
    """How much past there is, and how finely it was scraped and evaluated; no `interval_s`: as the rules say."""

    length_s: float
    step_s: float
    interval_s: int | None = None
    only: re.Pattern[str] | None = None


@contextlib.contextmanager
def staged(
    generation: Generation,
    directory: Path,
    output_set: OutputSet,
    systems: Sequence[System],
    pasts: Sequence[Past],
) -> Iterator[PrometheusServer]:
    """The running Prometheus. Pasts are given from the longest to the shortest; each ends where the next begins."""
    start = float(int(time.time()))
    world = World(systems=systems, start=start, now=start - pasts[0].length_s)
    data = directory / "data"
    data.mkdir(parents=True)
    for index, past in enumerate(pasts):
        end = start - (pasts[index + 1].length_s if index + 1 < len(pasts) else 0)
        text = directory / f"past-{index}.txt"
        write_past(world, text, end, past.step_s, past.only)
        promtool(
            generation, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=768h", str(text), str(data)
        )
    rules = write_rules(output_set, directory)
    flags = (f"--storage.tsdb.retention.time={int(pasts[0].length_s / 86400) + 2}d",)
    for level in levels(rules):
        with prometheus_server(generation, directory, config([], 1, []), flags=flags) as server:
            for number, past in enumerate(pasts):
                end = start - (pasts[number + 1].length_s if number + 1 < len(pasts) else 0)
                path = directory / "level.yml"
                write_level(path, level, past.interval_s)
                promtool(
                    generation,
                    *("tsdb", "create-blocks-from", "rules", f"--url={server.url}", "--max-block-duration=768h"),
                    *(f"--start={int(start - past.length_s)}", f"--end={int(end)}", f"--output-dir={data}", str(path)),
                )
    # What was missed meanwhile, so that graphs have no hole where the live part begins.
    caught_up = directory / "past-last.txt"
    write_past(world, caught_up, time.time(), pasts[-1].step_s)
    write_blocks(generation, caught_up, data)
    with exporter(world) as port:
        targets = [target for system in systems for target in system.targets]
        with prometheus_server(generation, directory, config(targets, port, rules), flags=flags) as server:
            yield server


def write_blocks(generation: Generation, text: Path, data: Path) -> None:
    """Make blocks of OpenMetrics text."""
    promtool(generation, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=768h", str(text), str(data))


def promtool(generation: Generation, *arguments: str) -> None:
    """Run promtool; its output is the message where it fails."""
    argv = [str(generation.promtool), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PROMTOOL_LIMIT_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
