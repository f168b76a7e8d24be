"""A real receiver in a process of its own, with a service to freeze and roll back, all in one directory."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct, field

from tests import journals
from tests.tools import ROOT
from tests.waiting import until

BODIES = ROOT / "tests" / "data" / "alertmanager-webhooks"
VERSIONS = ("0.25.0", "0.31.1", "0.34.2")
NAMES = ("firing", "resolved", "group", "mixed", "truncated", "hostile")
START_S = 30.0
STOP_S = 30.0


def body(version: str, name: str) -> bytes:
    """A captured webhook body."""
    return (BODIES / version / f"{name}.json").read_bytes()


def script(path: Path, text: str) -> Path:
    """An executable shell script that only its owner may write."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


FEATURE_FLAGS = """{
  "flags": {
    "provider_fallback": {
      "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
      "targeting": {"if": [{"==": [{"var": "x-provider-fallback"}, "on"]}, "on", null]}
    },
    "durable_worker": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}
  }
}
"""


class Site(Struct, kw_only=True):
    """A directory with a service, a policy, settings, and (once started) a receiver's state."""

    root: Path
    policy: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("policy", "service", "state"):
            (self.root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        (self.root / "state").chmod(0o700)
        service = self.root / "service"
        (service / "current").write_text("v2\n")
        script(service / "current.sh", f"cat {service}/current")
        script(service / "verify.sh", f'test "$(cat {service}/current)" = v1')
        script(
            service / "rollback.sh",
            f'echo "$FREEZELINE_FACT_RELEASE" >> {service}/rollbacks\nsleep 0.2\necho v1 > {service}/current',
        )
        script(service / "freezer.sh", f'echo "$1" >> {service}/freezer')
        self.feature_flags.write_text(FEATURE_FLAGS)
        self.policy = self.policy or default_policy(self)
        self.settings = self.settings or {"channels": {"log": {"type": "log"}, "toast": {"type": "toast"}}}
        self.write()

    @property
    def flag(self) -> Path:
        """The service's flag."""
        return self.root / "flags" / "FREEZE.FLAG"

    @property
    def feature_flags(self) -> Path:
        """Flagd's file of the service's feature flags."""
        return self.root / "service" / "flags.json"

    def default_variant(self, flag: str) -> str | None:
        """A feature flag's default variant in the file."""
        found: str | None = json.loads(self.feature_flags.read_text())["flags"][flag]["defaultVariant"]
        return found

    @property
    def state(self) -> Path:
        """The receiver's state directory."""
        return self.root / "state"

    def write(self) -> None:
        """Write policy and settings."""
        path = self.root / "policy" / "gateway.policy.json"
        path.write_text(json.dumps(self.policy, indent=1))
        path.chmod(0o644)
        (self.root / "receiver.yaml").write_text(json.dumps(self.settings))

    def lines(self, name: str) -> list[str]:
        """Lines of one of the service's records; none where it was never written."""
        path = self.root / "service" / name
        return path.read_text().split() if path.exists() else []

    def token(self, role: str) -> str:
        """A token of the receiver's."""
        return (self.state / "tokens" / role).read_text()

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the journal."""
        return journals.rows(self.state / "journal.db", sql, *parameters)


def default_policy(site: Site) -> dict[str, Any]:
    """Freeze, roll back and tell for FailureRateHigh of gateway; unfreeze half a second after the resolve."""
    service = site.root / "service"
    return {
        "format": "freezeline.policy/2",
        "name": "failure-budget",
        "service": "gateway",
        "spec": "failure-budget@sha256:9f2c0d",
        "rules": [
            {
                "id": "failure-rate-high",
                "match": [
                    {"label": "alertname", "op": "=~", "value": "FailureRateHigh|Hostile"},
                    {"label": "service", "op": "=", "value": "gateway"},
                ],
                "do": ["freeze", "rollback", "fallback", "tell"],
                "unfreeze": {"resolved_for_s": 0.5, "all_of": [], "review_after_s": 86400},
            }
        ],
        "actions": {
            "freeze": {
                "type": "freeze",
                "flag": str(site.flag),
                "legacy": [{"on": [f"{service}/freezer.sh", "on"], "off": [f"{service}/freezer.sh", "off"]}],
            },
            "rollback": {
                "type": "rollback",
                "command": [f"{service}/rollback.sh"],
                "timeout_s": 30,
                "grace_s": 1,
                "verify": {"command": [f"{service}/verify.sh"], "timeout_s": 10},
                "release": {"command": [f"{service}/current.sh"]},
            },
            "fallback": {
                "type": "switch",
                "file": str(site.feature_flags),
                "flag": "provider_fallback",
                "variant": "on",
            },
            "tell": {
                "type": "notify",
                "channels": list(site.settings.get("channels", {"log": {}, "toast": {}})),
                "events": ["frozen", "rollback_started", "rollback_done", "rollback_failed", "unfrozen"],
            },
        },
    }


class Receiver(Struct, kw_only=True):
    """A running receiver."""

    site: Site
    process: subprocess.Popen[bytes]
    http: aiohttp.ClientSession
    log: Path

    @property
    def url(self) -> str:
        """Its address."""
        return (self.site.state / "url").read_text().strip()

    async def post(
        self, data: bytes | io.BytesIO, *, token: str | None = None, path: str = "/webhook", **headers: str
    ) -> int:
        """POST a body; the status of the answer."""
        role = "webhook" if path == "/webhook" else "operate"
        given = token if token is not None else self.site.token(role)
        sent = {"Authorization": f"Bearer {given}", "Content-Type": "application/json", **headers}
        async with self.http.post(self.url + path, data=data, headers=sent) as response:
            await response.read()
            return response.status

    async def get(self, path: str, role: str = "read") -> Any:
        """GET as JSON, or as text where it is none."""
        headers = {"Authorization": f"Bearer {self.site.token(role)}"}
        async with self.http.get(self.url + path, headers=headers) as response:
            text = await response.text()
            return json.loads(text) if "json" in response.content_type else text

    async def operate(self, name: str, **fields: str) -> int:
        """Send one of the operator's requests."""
        return await self.post(json.dumps(fields).encode(), path=f"/api/v1/{name}")

    async def died(self, deadline_s: float = STOP_S) -> int:
        """Wait for its end; the exit status (negative: the signal)."""
        await until(lambda: self.process.poll() is not None, deadline_s, "the receiver ends")
        return self.process.returncode

    async def stop(self) -> int:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        return await self.died()


@contextlib.asynccontextmanager
async def receiver(
    site: Site,
    *,
    step: str = "",
    nth: int = 1,
    env: dict[str, str] | None = None,
    started_by: Sequence[str | Path] = (),
    cwd: Path | None = None,
) -> AsyncIterator[Receiver]:
    """Start a receiver on a free port and end it afterwards. With `step`, it kills itself there once armed.

    `started_by` is another script that serves, with its first arguments.
    """
    (site.state / "url").unlink(missing_ok=True)
    log = site.root / "receiver.log"
    if step:
        started_by = (Path(__file__).with_name("serve_until.py"), step, str(nth), site.root / "armed")
    command: list[str | Path]
    if started_by:
        command = [*started_by, site.root / "policy", site.state, site.root / "receiver.yaml"]
    else:
        command = ["-m", "freezeline", "serve", "--policy", site.root / "policy", "--state", site.state]
        command += ["--config", site.root / "receiver.yaml", "--listen", "127.0.0.1:0"]
    own = {**os.environ, **journals.environment(site.state / "journal.db"), "PYTHONPATH": str(ROOT), **(env or {})}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command], stderr=output, stdout=output, cwd=cwd or site.root, env=own
        )
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
            running = Receiver(site=site, process=process, http=http, log=log)
            await until(
                lambda: (site.state / "url").exists() or process.poll() is not None, START_S, "the receiver answers"
            )
            yield running
    finally:
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.wait, STOP_S)


def peers(
    data: bytes, *, starts: Iterable[str] = ("2026-11-21T08:17:42Z", "2026-11-21T08:17:43.5Z", "2026-11-21T08:17:41Z")
) -> list[bytes]:
    """One delivery as three peers send it: externalURL, groupKey and startsAt differ."""
    sent = []
    for number, start in enumerate(starts):
        raw = json.loads(data)
        raw["externalURL"] = f"http://alertmanager-{number}.example.org:9093"
        raw["groupKey"] += f"#{number}"
        for alert in raw["alerts"]:
            alert["startsAt"] = start
        sent.append(json.dumps(raw).encode())
    return sent
