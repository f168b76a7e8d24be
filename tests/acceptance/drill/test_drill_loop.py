"""`freezeline drill loop` through a real Alertmanager and a real receiver: legs, history, gate, and what it leaves."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from receiver.rehearsals import read
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.tools import ROOT, AlertmanagerServer, Generation, alertmanager_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance]

ROUTES = """\
route:
  receiver: nobody
  routes:
    - receiver: freezeline
      matchers: ['freezeline_policy != "off"']
      continue: true
      group_by: ['...']
      group_wait: 0s
      group_interval: {interval}
      repeat_interval: 5m
receivers:
  - name: nobody
  - name: freezeline
    webhook_configs:
      - url: {url}/webhook
        send_resolved: true
        http_config: {{authorization: {{credentials_file: {token}}}}}
"""


class Stand(Struct, frozen=True, kw_only=True):
    """Everything that runs: a receiver with a service's policy and the policy for drills, and Alertmanager."""

    site: Site
    receiver: Receiver
    alertmanager: AlertmanagerServer

    @property
    def drill_flag(self) -> Path:
        """The flag of drills."""
        return self.site.root / "drills" / "gateway-drill" / "FREEZE.FLAG"

    def drill(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `freezeline drill loop`."""
        argv = ["loop", str(self.site.root / "policy" / "gateway.policy.json"), "--state", str(self.site.state)]
        return freezeline("drill", *argv, "--alertmanager", self.alertmanager.url, *options)


def freezeline(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    argv = [sys.executable, "-m", "freezeline", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


@contextlib.asynccontextmanager
async def stand(
    generation: Generation, root: Path, *, webhook: bool = True, prepared: bool = True
) -> AsyncIterator[Stand]:
    """A stand. Without `webhook`, Alertmanager's route leads nowhere. Unless `prepared`, no policy is for drills."""
    site = Site(root=root)
    (root / "drills").mkdir()
    policy = root / "policy" / "gateway.policy.json"
    made = freezeline("drill", "policy", str(policy), "--flags", str(root / "drills"), "--channel", "log")
    assert made.returncode == 0, made.stderr
    if prepared:
        (root / "policy" / "drill.policy.json").write_text(made.stdout)
    async with receiver(site) as running:
        url = running.url if webhook else "http://127.0.0.1:9"
        config = ROUTES.format(url=url, token=site.state / "tokens" / "webhook", interval="1s")
        with alertmanager_server(generation, root / "alertmanager", config) as alertmanager:
            yield Stand(site=site, receiver=running, alertmanager=alertmanager)


async def test_each_leg_is_measured(current: Generation, tmp_path: Path) -> None:
    """The flag of drills comes and goes, the real flag never exists, and the gate takes the line."""
    async with stand(current, tmp_path) as found:
        done = found.drill("--channel", "log", "--json")
        assert done.returncode == 0, done.stderr
        line = json.loads(done.stdout)
        assert list(line["legs"]) == [
            "alert to webhook",
            "webhook to flag",
            "webhook to notice",
            "resolve to webhook",
            "resolved to flag removed",
            "flag removed to notice",
        ]
        assert all(0 <= took_s < 20 for took_s in line["legs"].values())
        assert (line["kind"], line["service"], line["release"], line["ok"]) == ("loop", "gateway", "v2", True)
        assert not found.drill_flag.exists()
        kinds = found.site.rows("SELECT kind FROM decision WHERE kind IN ('frozen', 'flag_removed')")
        assert kinds == [("frozen",), ("flag_removed",)]
        assert not found.site.flag.exists()
        assert found.site.lines("rollbacks") == []
        assert read((found.site.state / "rehearsals.jsonl").read_bytes())[0].host
        assert gate(found, "--json")["verdict"] == "GO"
        assert gate(found, "--json", "--host", "another")["verdict"] == "NO_GO"


def gate(found: Stand, *options: str) -> Any:
    """What the gate says of a policy that demands a fresh rehearsal of the loop."""
    policy = found.site.root / "gate.policy.json"
    check = {"id": "loop", "kind": "rehearsed", "rehearsal": "loop", "max_age_s": 86400}
    policy.write_text(json.dumps({**found.site.policy, "gate": {"checks": [check]}}))
    policy.chmod(0o644)
    ran = freezeline("gate", str(policy), "--rehearsals", str(found.site.state / "rehearsals.jsonl"), *options)
    return json.loads(ran.stdout)


async def test_a_loop_that_is_broken(current: Generation, tmp_path: Path) -> None:
    """Alertmanager's webhook leads nowhere: the drill fails at this leg, says so, and puts its alert back."""
    async with stand(current, tmp_path, webhook=False) as found:
        done = found.drill("--limit", "2", "--channel", "log")
        assert done.returncode == 1, done.stderr
        assert "alert to webhook: not within 2 s" in done.stdout
        assert not read((found.site.state / "rehearsals.jsonl").read_bytes())[0].ok

        def resolved() -> bool:
            return [one for one in found.alertmanager.alerts() if one["status"]["state"] == "active"] == []

        await until(resolved, 20, "no drill alert is active any more")


async def test_a_receiver_without_the_policy_for_drills(current: Generation, tmp_path: Path) -> None:
    """Nothing is sent, and the message says what to do."""
    async with stand(current, tmp_path, prepared=False) as found:
        done = found.drill()
        assert done.returncode == 1
        assert "write one with `freezeline drill policy`" in done.stdout
        assert found.alertmanager.alerts() == []
