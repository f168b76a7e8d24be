"""System C's launch report: `freezeline gate` asks the whole checklist, and every piece of evidence is real.

Real are the service under load, Prometheus with the spec's rules, the receiver, and each rehearsal. Trivy is not here:
its report is written in the shape that Trivy writes.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.acceptance.workload.test_alerts_of_launch import Launch, launch
from tests.acceptance.workload.watched import Watched
from tests.balancers import free_ports
from tests.redis_server import redis_server
from tests.tools import ROOT, Generation, program
from tests.waiting import until
from tests.workload import service

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(2400), pytest.mark.xdist_group("launch")]

IMAGE = f"registry.example.org/app@sha256:{'0123456789abcdef' * 4}"
BUDGET_S = 1300.0
"""A fresh Prometheus knows a budget after rules that run every 15 minutes, and then rules of 2.5 minutes."""

CHECKS = {
    "not-frozen": "GO",
    "no-critical": "GO",
    "budget": "GO",
    "rules-loaded": "GO",
    "image-pinned": "GO",
    "scan-clean": "GO",
    "sse-fast": "GO",
    "streams-rehearsed": "GO",
    "flags": "GO",
    "fallback-rehearsed": "GO",
    "recovery-rehearsed": "GO",
    "canary-rehearsed": "GO",
}


class Report(Struct, frozen=True, kw_only=True):
    """The gate's answer."""

    code: int
    checks: dict[str, tuple[str, str]]

    def wrong(self) -> dict[str, str]:
        """The checks that are not GO."""
        return {name: verdict for name, (verdict, _) in self.checks.items() if verdict != "GO"}


class Desk(Struct, frozen=True, kw_only=True):
    """Whoever decides about the launch: the command line beside the running service."""

    launch: Launch
    seen: Watched
    generation: Generation

    @property
    def root(self) -> Path:
        """The directory of everything."""
        return self.launch.site.root

    @property
    def policy(self) -> str:
        """The policy of system C, with this machine's paths."""
        return str(self.root / "policy" / "day0-launch.policy.json")

    def run(self, words: Sequence[str], image: str = IMAGE) -> subprocess.CompletedProcess[str]:
        """A command."""
        tools = (program("haproxy"), program("redis-server"), self.generation.prometheus, self.generation.alertmanager)
        path = os.pathsep.join((*(str(tool.parent) for tool in tools), os.environ["PATH"]))
        argv = [sys.executable, "-m", "freezeline", *words, "--state", str(self.launch.site.state)]
        env = {**os.environ, "PATH": path, "IMAGE": image}
        return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False)

    def report(self, *, image: str = IMAGE, prometheus: str = "") -> Report:
        """The launch report, as JSON and as Markdown."""
        words = ["gate", self.policy, "--prometheus", prometheus or self.seen.prometheus.url, "--json"]
        words += ["--directory", str(self.root), "--markdown", str(self.root / "launch.md")]
        ran = self.run(words, image)
        assert ran.stdout, ran.stderr
        found = json.loads(ran.stdout)
        checks = {one["id"]: (one["verdict"], one["reason"]) for one in found["checks"]}
        return Report(code=ran.returncode, checks=checks)

    def drill(self, kind: str, *options: str) -> dict[str, Any]:
        """A rehearsal that succeeds; the line of the history."""
        ran = self.run(["drill", kind, self.policy, "--json", *options])
        assert ran.returncode == 0, ran.stdout + ran.stderr
        print(ran.stdout)
        line: dict[str, Any] = json.loads(ran.stdout)
        return line

    def scan(self, **changes: Any) -> None:
        """A report of Trivy about the image, made now."""
        report = json.loads((ROOT / "tests" / "data" / "gate" / "trivy.json").read_text())
        report["CreatedAt"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        report["Results"][0]["Vulnerabilities"][0] |= {"Severity": "LOW", **changes}
        (self.root / "trivy.json").write_text(json.dumps(report))

    def load_rules(self) -> None:
        """Prometheus runs the rules that belong to this policy."""
        for path in (self.root / "rules").glob("*.yml"):
            path.unlink()
        for path in (self.root / "generated" / "rules").glob("*.yml"):
            shutil.copy(path, self.root / "rules")
        self.seen.prometheus.reload()

    def rehearse(self) -> None:
        """All four rehearsals that the checklist demands."""
        body = ("--body", '{"topic": "a drill"}')
        few = ("--at-once", "4")  # users and rehearsal share two processors with everything that watches
        self.drill("stream", "--probe", f"{self.launch.scripts.url}/api/v1/scripts", *body, "--event", "token", *few)
        ports = free_ports(2)
        vendors = list(zip(("openai", "anthropic"), ports, strict=True))
        options = ["--providers", self.launch.providers.url]
        options += [word for name, port in vendors for word in (f"--{name}", f"http://127.0.0.1:{port}")]
        with service(self.root, "rehearsed", "scripts", options, scripts_log_level="ERROR") as rehearsed:
            chain = [f"{name}={port}={self.launch.providers.url}" for name, port in vendors]
            asked = [word for one in chain for word in ("--provider", one)]
            faults = ("--fault", "dead", "--fault", "cut", "--fault", "garbled", "--requests", "2", "--local")
            self.drill("fallback", "--probe", f"{rehearsed.url}/api/v1/scripts", *body, *asked, *faults)
        with closing(sqlite3.connect(self.root / "jobs.sqlite")) as db, redis_server(self.root / "live") as live:
            db.executescript("CREATE TABLE job (id INTEGER PRIMARY KEY, body); INSERT INTO job (body) VALUES ('a')")
            live.client.set("session", "kept")
            stores = ("--sqlite", f"jobs={self.root / 'jobs.sqlite'}", "--redis", f"sessions={live.url}")
            self.drill("recovery", "--backups", str(self.root / "backups"), *stores)
        self.drill("canary")


async def test_the_launch_report(generation: Generation, tmp_path: Path) -> None:
    """NO-GO without evidence, GO with all of it, and NO-GO or "cannot tell" as soon as one piece is missing."""
    async with launch(generation, tmp_path, 5) as (found, seen):
        desk = Desk(launch=found, seen=seen, generation=generation)
        desk.load_rules()
        for _ in range(2):
            found.repeat.every(0.1, found.ask)
        missing = await asyncio.to_thread(desk.report)
        assert missing.code == (1 if "NO_GO" in missing.wrong().values() else 2)  # the first streams may be slow
        assert missing.checks["recovery-rehearsed"][0] == "CANNOT_TELL"
        desk.scan()
        await asyncio.to_thread(desk.rehearse)

        def settled() -> bool:
            wrong = desk.report().wrong()
            print(wrong)
            return not wrong

        await until(lambda: asyncio.to_thread(settled), BUDGET_S, "every check says GO", poll_s=5)
        whole = await asyncio.to_thread(desk.report)
        assert (whole.code, {name: verdict for name, (verdict, _) in whole.checks.items()}) == (0, CHECKS)
        markdown = (tmp_path / "launch.md").read_text()
        assert markdown.startswith("## GO: script-generation\n")
        assert markdown.count("| GO |") == len(CHECKS)
        print(markdown)

        tagged = await asyncio.to_thread(lambda: desk.report(image="registry.example.org/app:latest"))
        assert (tagged.code, tagged.wrong()) == (1, {"image-pinned": "NO_GO", "scan-clean": "CANNOT_TELL"})
        desk.scan(Severity="CRITICAL")
        found_one = await asyncio.to_thread(desk.report)
        assert (found_one.code, found_one.wrong()) == (1, {"scan-clean": "NO_GO"})
        desk.scan()
        unread = await asyncio.to_thread(lambda: desk.report(prometheus="http://127.0.0.1:9"))
        assert (unread.code, set(unread.wrong().values())) == (2, {"CANNOT_TELL"})
        why = ("--reason", "the war room is not ready")
        assert (await asyncio.to_thread(desk.run, ["freeze", "script-generation", *why])).returncode == 0
        frozen = await asyncio.to_thread(desk.report)
        assert (frozen.code, frozen.wrong()["not-frozen"]) == (1, "NO_GO")
        assert "the war room is not ready" in frozen.checks["not-frozen"][1]
