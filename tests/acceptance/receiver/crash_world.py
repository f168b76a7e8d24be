"""The world of the crash test: services with flags and releases, alerts that Alertmanager repeats, and a receiver.

The world remembers what the receiver acknowledged. It can be asked at any quiet time whether a freeze is missing,
whether a release was rolled back twice, and whether a reader ever saw half a flag.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from msgspec import Struct, field

from tests.acceptance.receiver.harness import START_S, script
from tests.tools import ROOT
from tests.waiting import DeadlinePassedError, until

SERVICES = ("billing", "gateway", "search")
QUIET_S = 90.0
TOLD_S = 5.0


class Alert(Struct, kw_only=True):
    """One alert as Alertmanager knows it. `told` is the status that the receiver acknowledged last."""

    service: str
    fingerprint: str
    starts_at: str
    status: str = "firing"
    told: str = ""

    def entry(self) -> dict[str, Any]:
        """The alert in a webhook's body."""
        ends = "2100-01-01T00:00:00Z" if self.status == "resolved" else "0001-01-01T00:00:00Z"
        labels = {"alertname": "Bad", "service": self.service, "severity": "critical", "n": self.fingerprint}
        times = {"startsAt": self.starts_at, "endsAt": ends}
        return {"status": self.status, "labels": labels, "annotations": {}, "fingerprint": self.fingerprint, **times}


class World(Struct, kw_only=True):
    """Everything outside of the receiver, and the receiver's process."""

    root: Path
    random: Random
    http: aiohttp.ClientSession
    alerts: list[Alert] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    half_flags: int = 0
    said_ok_wrongly: int = 0
    repeated_rollbacks_seen: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("policy", "state", "flags"):
            (self.root / name).mkdir(mode=0o700 if name == "state" else 0o755, exist_ok=True)
        for service in SERVICES:
            (self.root / service).mkdir()
            self.deploy(service)
            script(self.root / service / "current.sh", f"cat {self.root / service}/current")
            rollback = f'echo "$FREEZELINE_FACT_RELEASE" >> {self.root / service}/rollbacks; sleep 0.05'
            script(self.root / service / "rollback.sh", rollback)
            self.write_policy(service)
        (self.root / "receiver.yaml").write_text(
            json.dumps({"channels": {"log": {"type": "log"}}, "stop_wait_s": 1, "reconcile_every_s": 1})
        )

    # services

    def flag(self, service: str) -> Path:
        """The flag of a service."""
        return self.root / "flags" / service / "FREEZE.FLAG"

    def deploy(self, service: str) -> None:
        """A new release of a service."""
        self.done["deployments"] += 1
        (self.root / service / "current").write_text(f"v{self.done['deployments']}\n")

    def policy_file(self, service: str) -> Path:
        """The policy of a service."""
        return self.root / "policy" / f"{service}.policy.json"

    def write_policy(self, service: str) -> None:
        """A policy that unfreezes soon, with a time of its own each time."""
        folder = self.root / service
        match = [{"label": "service", "op": "=", "value": service}, {"label": "alertname", "op": "=", "value": "Bad"}]
        rule: dict[str, Any] = {"id": "bad", "match": match, "do": ["freeze", "rollback", "tell"]}
        rule["unfreeze"] = {"resolved_for_s": round(0.1 + self.random.random(), 3), "all_of": []}
        rollback: dict[str, Any] = {"type": "rollback", "command": [f"{folder}/rollback.sh"], "timeout_s": 30}
        rollback["release"] = {"command": [f"{folder}/current.sh"]}
        actions = {
            "freeze": {"type": "freeze", "flag": str(self.flag(service))},
            "rollback": rollback,
            "tell": {"type": "notify", "channels": ["log"]},
        }
        head = {"format": "freezeline.policy/2", "name": service, "service": service}
        self.policy_file(service).write_text(json.dumps({**head, "rules": [rule], "actions": actions}))
        self.policy_file(service).chmod(0o644)

    # the receiver

    async def start(self) -> None:
        """Start the receiver, unless it runs. On a full disk the start fails, and somebody tries again later."""
        if self.process is None or self.process.poll() is not None:
            self.process = await self._start_once()
            self.done["starts" if self.process.poll() is None else "failed starts"] += 1

    async def _start_once(self) -> subprocess.Popen[bytes]:
        url = self.root / "state" / "url"
        url.unlink(missing_ok=True)
        command = ["-m", "freezeline", "serve", "--policy", str(self.root / "policy")]
        command += ["--state", str(self.root / "state"), "--config", str(self.root / "receiver.yaml")]
        args = [sys.executable, *command, "--listen", "127.0.0.1:0"]
        with (self.root / "receiver.log").open("ab") as log:
            own = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
            process = subprocess.Popen(args, stdout=log, stderr=log, env=own)
        try:
            await until(lambda: url.exists() or process.poll() is not None, START_S, "the receiver answers or ends")
        except DeadlinePassedError as error:
            process.send_signal(signal.SIGABRT)
            process.wait(START_S)
            last = (self.root / "receiver.log").read_text(errors="replace").splitlines()[-80:]
            raise AssertionError("\n".join([f"{error}. The receiver's last words:", *last])) from error
        return process

    def reload(self) -> None:
        """Let the receiver read its policies again."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)

    async def end(self, number: int) -> None:
        """Send a signal that ends the receiver, and wait."""
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(number)
            await until(lambda: process.poll() is not None, START_S, "the receiver ends")
            self.done["kills" if number == signal.SIGKILL else "stops"] += 1

    async def ask(self, method: str, path: str, role: str, body: Any = None) -> tuple[int, Any]:
        """One request. The status is 0 if there was no answer, which the sender must not take for an answer."""
        try:
            url = (self.root / "state" / "url").read_text().strip()
            token = (self.root / "state" / "tokens" / role).read_text()
            headers = {"Authorization": f"Bearer {token}"}
            async with self.http.request(method, url + path, headers=headers, json=body) as response:
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, None

    async def deliver(self, alerts: list[Alert]) -> None:
        """Send alerts in one body, as Alertmanager does, and remember an acknowledgement."""
        sent = [(alert, alert.status) for alert in alerts]
        body = {"version": "4", "status": "firing", "alerts": [alert.entry() for alert in alerts]}
        status, _ = await self.ask("POST", "/webhook", "webhook", body)
        self.done["deliveries"] += 1
        if status == 200:
            self.done["acknowledged"] += 1
            for alert, told in sent:
                alert.told = told

    # what must hold

    def must_be_frozen(self) -> set[str]:
        """Services with an alert whose firing the receiver acknowledged last."""
        return {alert.service for alert in self.alerts if alert.told == "firing"}

    def frozen(self) -> set[str]:
        """Services whose flag exists."""
        return {service for service in SERVICES if os.path.lexists(self.flag(service))}

    def repeated_rollbacks(self) -> list[str]:
        """Releases that were rolled back more than once."""
        found = []
        for service in SERVICES:
            path = self.root / service / "rollbacks"
            counted = Counter(path.read_text().split() if path.exists() else [])
            found += [f"{service} {release}" for release, count in counted.items() if count > 1]
        return found

    def rollbacks(self) -> int:
        """How many rollbacks ran."""
        paths = [self.root / service / "rollbacks" for service in SERVICES]
        return sum(len(path.read_text().split()) for path in paths if path.exists())

    async def watch_flags(self) -> None:
        """Read flags all the time; a flag that is no JSON is half a flag."""
        while True:
            for service in SERVICES:
                with contextlib.suppress(OSError):
                    text = self.flag(service).read_text()
                    try:
                        json.loads(text)
                    except ValueError:
                        self.half_flags += 1
            await asyncio.sleep(0.002)

    async def look_at_health(self) -> None:
        """Health must not stay `ok` while a service that must be frozen stays without its flag."""
        missing = self.must_be_frozen() - self.frozen()

        async def is_told_or_over() -> bool:
            _, answer = await self.ask("GET", "/health", "read")
            _, state = await self.ask("GET", "/api/v1/state", "read")
            meant = {one["service"] for one in state["services"] if one["frozen"]} if state else set()
            return not answer or answer["status"] != "ok" or not missing & meant - self.frozen()

        if missing:
            try:
                await until(is_told_or_over, TOLD_S, "health tells, or the flag comes")
            except DeadlinePassedError:
                self.said_ok_wrongly += 1

    def flags_name_rollbacks(self) -> bool:
        """Whether each flag names the last rollback of its service."""
        for service in self.frozen():
            path = self.root / service / "rollbacks"
            ran = path.read_text().split() if path.exists() else []
            named = {one["release"] for one in json.loads(self.flag(service).read_text()).get("rollbacks", ())}
            if ran and ran[-1] not in named:
                return False
        return True

    async def settled(self) -> bool:
        """Whether the receiver has nothing to do, and every flag is as it must be."""
        status, state = await self.ask("GET", "/api/v1/state", "read")
        if status != 200:
            return False
        final = {"SUCCEEDED", "DEAD", "CANCELLED", "SKIPPED"}
        at_rest = all(action["state"] in final for action in state["actions"])
        return at_rest and self.must_be_frozen() <= self.frozen()
