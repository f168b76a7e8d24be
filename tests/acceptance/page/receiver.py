"""A real `freezeline serve` as a process, with a policy that answers any alert."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.waiting import until

COMMAND = (sys.executable, "-c", "import sys; from freezeline.cli import main; sys.exit(main())", "serve")
START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
HOSTILE_RELEASE = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """One running receiver."""

    url: str
    state: Path
    flag: Path
    http: aiohttp.ClientSession

    def token(self, role: str) -> str:
        """One of its tokens."""
        return (self.state / "tokens" / role).read_text().strip()

    async def webhook(self, body: bytes) -> None:
        """Deliver alerts as Alertmanager does."""
        headers = {"Authorization": f"Bearer {self.token('webhook')}"}
        async with self.http.post(f"{self.url}/webhook", data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def fires(self, alertname: str, *, summary: str = "failure rate 2.31 % > 0.5 %") -> None:
        """Deliver one firing alert of the service `gateway`."""
        labels = {"alertname": alertname, "service": "gateway", "severity": "critical"}
        alert = {
            "status": "firing",
            "labels": labels,
            "annotations": {"summary": summary},
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": f"{abs(hash(alertname)):016x}"[:16],
        }
        delivery = {
            "version": "4",
            "groupKey": "{}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "freezeline",
            "groupLabels": {},
            "commonLabels": labels,
            "commonAnnotations": {},
            "externalURL": "",
            "alerts": [alert],
        }
        await self.webhook(json.dumps(delivery).encode())

    async def get(self, path: str, role: str = "read") -> Any:
        """JSON from the API."""
        async with self.http.get(
            f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token(role)}"}
        ) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def end_rollbacks(self) -> None:
        """Leave no rollback running: its runner would outlive the receiver."""
        headers = {"Authorization": f"Bearer {self.token('operate')}"}
        for action in await self._rollbacks():
            body = {"action": action["id"], "reason": "the test is over"}
            async with self.http.post(f"{self.url}/api/v1/cancel", json=body, headers=headers) as answer:
                assert answer.status in {202, 409}, await answer.text()
        await until(self._none_runs, STOP_DEADLINE_S, "the end of every rollback")

    async def _rollbacks(self) -> list[Any]:
        actions = (await self.get("/api/v1/state"))["actions"]
        states = {"PENDING", "STARTING", "RUNNING"}
        return [one for one in actions if one["type"] == "rollback" and one["state"] in states]

    async def _none_runs(self) -> bool:
        return not await self._rollbacks()


def policy(flag: Path, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze, a rollback that runs until it is cancelled, and notices to a channel that cannot be reached."""
    return {
        "format": "freezeline.policy/1",
        "name": "gateway",
        "service": "gateway",
        "spec": "test@sha256:0",
        "rules": [
            {
                "id": "any",
                "match": [{"label": "service", "op": "=", "value": "gateway"}],
                "do": ["freeze", "rollback", "tell"],
                "release": {"resolved_for_s": 300, "all_of": [], "review_after_s": 86400},
            }
        ],
        "actions": {
            "freeze": {"type": "freeze", "flag": str(flag)},
            "rollback": {
                "type": "rollback",
                "command": ["/bin/sleep", "600"],
                "cwd": "/",
                "timeout_s": 900,
                "grace_s": 1,
                "release": {"command": ["/bin/echo", HOSTILE_RELEASE], "timeout_s": 5},
            },
            "tell": {
                "type": "notify",
                "channels": ["slack", "toast"],
                "fallback": ["log"],
                "moments": ["frozen", "released"],
            },
        },
        **extra,
    }


@asynccontextmanager
async def running_receiver(tmp_path: Path, **extra: Any) -> AsyncIterator[Receiver]:
    """Start a receiver on a free port; it is stopped with SIGTERM and must end well."""
    flag = tmp_path / "flags" / "FREEZE.FLAG"
    for folder in (flag.parent, tmp_path / "policy"):
        folder.mkdir(mode=0o755)
    path = tmp_path / "policy" / "gateway.policy.json"
    path.write_text(json.dumps(policy(flag, extra)))
    path.chmod(0o644)
    slack = tmp_path / "slack-url"
    slack.write_text("ftp://nowhere.example.org/")
    config = tmp_path / "receiver.yaml"
    channels = f"{{slack: {{type: slack, url_file: {slack}}}, toast: {{type: toast}}, log: {{type: log}}}}"
    config.write_text(f"public_url: http://127.0.0.1:9099\nstop_wait_s: 2\nchannels: {channels}\n")
    config.chmod(0o600)
    arguments = ["--policy", str(path.parent), "--state", str(tmp_path / "state"), "--config", str(config)]
    log = tmp_path / "receiver.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, "--listen", "127.0.0.1:0", env=os.environ, stdout=output, stderr=output
        )
        try:
            url = await until(lambda: _url(log), START_DEADLINE_S, "the receiver's address")
            async with aiohttp.ClientSession() as http:
                receiver = Receiver(url=url, state=tmp_path / "state", flag=flag, http=http)
                yield receiver
                await receiver.end_rollbacks()
            process.terminate()
            assert await asyncio.wait_for(process.wait(), STOP_DEADLINE_S) == 0, log.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _url(log: Path) -> str:
    """The address that the receiver announces; "" before."""
    found = re.search(r"listening on (http://\S+)", log.read_text())
    return found[1] if found else ""
