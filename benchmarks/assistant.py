"""The targets of system E: top-2 accuracy, and open-loop load, for which vegeta sends on time, come answers or not.

Two assistants stand behind HAProxy, as in production, and share two processors with HAProxy, Redis and vegeta. Where
vegeta itself does not reach the rate, the report says so. `./dev bench assistant`; exit code 1 if a target is missed.
"""

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.processor import processor_s
from devtools import programs
from devtools.movielens import path as movielens
from devtools.prometheus_tools import built
from examples.workload.assistant.ensemble import train
from examples.workload.assistant.quality import TARGET, rows, table
from examples.workload.assistant.ratings import load
from tests.balancers import free_ports
from tests.tools import gone_with_us, request, stop
from tests.waiting import wait_until
from tests.workload import Redis, assistant
from tests.workload import redis_server as running_redis

RATE = 1000
CHATS_PER_S = 250
SESSIONS = 10_000
SECONDS = 20
REACHED = 0.98
"""Below this share of its rate, vegeta is the limit."""

SAMPLED = 200
"""Sessions whose memory is asked for."""

HAPROXY = """\
defaults
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 20s
backend assistant
  balance roundrobin
  server control 127.0.0.1:{control}
  server treatment 127.0.0.1:{treatment}
frontend front
  bind 127.0.0.1:{front}
  default_backend assistant
"""


class Report(Struct, frozen=True, kw_only=True):
    """What vegeta measured, in milliseconds and shares."""

    rate: float
    mean_ms: float
    p95_ms: float
    p99_ms: float
    errors: float

    @property
    def text(self) -> str:
        """One line."""
        return (
            f"{self.rate:.0f} requests/s, mean {self.mean_ms:.1f} ms, p95 {self.p95_ms:.1f} ms, "
            f"p99 {self.p99_ms:.1f} ms, errors {self.errors:.2%}"
        )


class Busy(Struct, frozen=True, kw_only=True):
    """Processor seconds that programs had used at one time, and the machine as a whole. `at_s` is in seconds."""

    at_s: float
    machine_s: float
    programs: Mapping[str, float]

    def since(self, before: "Busy") -> str:
        """What was busy meanwhile: shares of all processors."""
        whole = (self.at_s - before.at_s) * (os.cpu_count() or 1)
        shares = {name: (used - before.programs[name]) / whole for name, used in self.programs.items()}
        listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        all_of_it = (self.machine_s - before.machine_s) / whole
        return f"processors {min(all_of_it, 1.0):.0%} busy: {listed}, vegeta and everything else the rest"


class Stage(Struct, frozen=True, kw_only=True):
    """What runs: the address of HAProxy, Redis, where the ratings are from, and the programs by their names."""

    url: str
    redis: Redis
    detail: str
    pids: Mapping[str, Sequence[int]]

    def busy(self) -> Busy:
        """What the programs have used until now."""
        ticks = os.sysconf("SC_CLK_TCK")
        machine = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        programs = {name: sum(map(processor_s, pids)) for name, pids in self.pids.items()}
        idle = machine[3] + machine[4]
        return Busy(at_s=time.monotonic(), machine_s=(sum(machine) - idle) / ticks, programs=programs)


class Row(Struct, frozen=True, kw_only=True):
    """One target: what was asked for and what was found."""

    name: str
    found: str
    met: bool


def attack(vegeta: Path, targets: Iterable[dict[str, Any]], rate: int, seconds: int) -> Report:
    """Send so many requests a second for so long, each target by turns."""
    with tempfile.TemporaryDirectory(prefix="freezeline-load-") as folder:
        file = Path(folder) / "targets"
        file.write_text("".join(json.dumps(one) + "\n" for one in targets))
        argv = [str(vegeta), "attack", "-format=json", f"-targets={file}", f"-rate={rate}/s", f"-duration={seconds}s"]
        results = subprocess.run(argv, capture_output=True, check=True, timeout=seconds + 60).stdout
    report = [str(vegeta), "report", "-type=json"]
    found = json.loads(subprocess.run(report, input=results, capture_output=True, check=True, timeout=60).stdout)
    latencies = found["latencies"]
    return Report(
        rate=found["rate"],
        mean_ms=latencies["mean"] / 1e6,
        p95_ms=latencies["95th"] / 1e6,
        p99_ms=latencies["99th"] / 1e6,
        errors=1 - found["success"],
    )


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """A target of vegeta's."""
    text = base64.b64encode(json.dumps(body).encode()).decode()
    return {"method": "POST", "url": url, "body": text, "header": {"Content-Type": ["application/json"]}}


@contextlib.contextmanager
def running(root: Path) -> Iterator[Stage]:
    """Both assistants behind HAProxy."""
    ratings = movielens(os.environ)
    options = ["--ratings", str(ratings)] if ratings.is_file() else []
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis(root))
        os.environ["ASSISTANT_LOG_LEVEL"] = "ERROR"
        tracks = []
        for track in ("control", "treatment"):
            folder = root / track
            folder.mkdir()
            tracks.append(stack.enter_context(assistant(folder, redis, options=[*options, "--track", track])))
        (front,) = free_ports(1)
        config = root / "haproxy.cfg"
        config.write_text(HAPROXY.format(front=front, control=tracks[0].port, treatment=tracks[1].port))
        process = subprocess.Popen([str(programs.link_folder() / "haproxy"), "-db", "-f", str(config)])
        stack.callback(stop, process)
        stack.enter_context(gone_with_us(process))
        url = f"http://127.0.0.1:{front}"
        wait_until(lambda: _answers(url), 20, "haproxy answers")
        detail = json.loads(request("GET", f"{url}/health/detailed"))["components"]["recommendation_engine"]["detail"]
        assistants = [one.process.pid for one in tracks]
        pids = {"assistants": assistants, "haproxy": [process.pid], "redis": [redis.process.pid]}
        yield Stage(url=url, redis=redis, detail=detail, pids=pids)


def _answers(url: str) -> bool:
    try:
        return bool(request("GET", f"{url}/health"))
    except OSError:
        return False


def accuracy() -> list[Row]:
    """The ensemble beside its baselines, with the ratings that the assistants have."""
    file = movielens(os.environ)
    ratings = load(file if file.is_file() else None)
    model = train(ratings)
    print(table(model, ratings.source), end="\n\n")
    found = rows(model)
    best, popularity = found["ensemble"], found["popularity"]
    low = best.interval[0]
    return [
        Row(name="top-2 accuracy ≥ 45 %", found=f"{best.share:.1%}", met=best.share >= TARGET),
        Row(
            name="its lower bound above popularity",
            found=f"{low:.1%} > {popularity.share:.1%}",
            met=low > popularity.share,
        ),
    ]


def recommendations(vegeta: Path, stage: Stage) -> list[Row]:
    """1000 requests/s for users by turns."""
    address = f"{stage.url}/api/v2/recommendations"
    targets = [post(address, {"user_id": user}) for user in range(500)]
    attack(vegeta, targets, RATE // 4, 5)  # every user once, as after a start in production
    before = stage.busy()
    found = attack(vegeta, targets, RATE, SECONDS)
    print(f"recommendations: {found.text}\n  {stage.busy().since(before)}")
    if found.rate < REACHED * RATE:
        print(f"  vegeta is the limit: {found.rate:.0f} of {RATE} requests/s were sent on time")
    return [
        Row(name=f"recommendations at {RATE}/s, p95 < 100 ms", found=f"{found.p95_ms:.1f} ms", met=found.p95_ms < 100),
        Row(name="mean < 500 ms", found=f"{found.mean_ms:.1f} ms", met=found.mean_ms < 500),
        Row(name="errors < 0.5 %", found=f"{found.errors:.2%}", met=found.errors < 0.005),
    ]


def chats(vegeta: Path, stage: Stage) -> list[Row]:
    """10,000 sessions with two messages each, and how much memory a message takes."""
    redis = stage.redis
    words = ("a comedy before 1990", "more")
    address = f"{stage.url}/api/v2/chat"
    targets = (
        post(address, {"message": text, "user_id": session % 500, "session_id": f"s{session}"})
        for text in words
        for session in range(SESSIONS)
    )
    before = stage.busy()
    found = attack(vegeta, targets, CHATS_PER_S, len(words) * SESSIONS // CHATS_PER_S)
    print(f"chats: {found.text}\n  {stage.busy().since(before)}")
    sessions = int(redis.ask("ZCARD", "sessions"))
    used = [_message_bytes(redis, f"session:s{number}") for number in range(0, SESSIONS, SESSIONS // SAMPLED)]
    return [
        Row(name=f"chat at {CHATS_PER_S}/s, p95 < 200 ms", found=f"{found.p95_ms:.1f} ms", met=found.p95_ms < 200),
        Row(name="chat errors < 0.5 %", found=f"{found.errors:.2%}", met=found.errors < 0.005),
        Row(name=f"{SESSIONS} sessions", found=str(sessions), met=sessions >= SESSIONS),
        Row(name="< 1 KB a message", found=f"at most {max(used):.0f} bytes", met=max(used) < 1024),
    ]


def _message_bytes(redis: Redis, session: str) -> float:
    """Memory of a session (`MEMORY USAGE`) for each of its messages."""
    return int(redis.ask("MEMORY", "USAGE", session, "SAMPLES", "0")) / int(redis.ask("LLEN", session))


def main() -> int:
    """Measure, and print each target."""
    problems = programs.ensure(["haproxy", "redis"], os.environ)
    if problems:
        print("; ".join(problems), file=sys.stderr)
        return 3
    vegeta = built("vegeta", os.environ) / "vegeta"
    with (
        tempfile.TemporaryDirectory(prefix="freezeline-bench-") as folder,
        running(Path(folder)) as stage,
    ):
        shown = f"{os.cpu_count()} processors for vegeta, HAProxy, two assistants and Redis; ratings: {stage.detail}"
        print(f"{shown}; load average before: {os.getloadavg()[0]:.1f}\n")
        targets = [*accuracy(), *recommendations(vegeta, stage), *chats(vegeta, stage)]
    width = max(len(row.name) for row in targets)
    print()
    for row in targets:
        print(f"{row.name:<{width}}  {row.found:>16}  {'met' if row.met else 'MISSED'}")
    return 0 if all(row.met for row in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
