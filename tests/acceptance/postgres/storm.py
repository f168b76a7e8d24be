"""A storm through three real Alertmanagers to three receivers on two hosts, with a primary and its standby.

Everything that Alertmanagers and receivers go by is generated from one spec: routes, policy and the alert's labels.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import yaml

from freezeline.cli import main
from receiver.http.tokens import Role, ensure_tokens
from tests.acceptance.postgres.alertmanagers import COUNT, Alertmanagers, alert, alertmanagers
from tests.acceptance.postgres.failover import Servers, servers
from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.postgres.relay import Relay, relayed
from tests.acceptance.postgres.supervised import Supervisor, supervised
from tests.balancers import free_ports
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.tools import Generation
from tests.waiting import until

SPEC = """\
apiVersion: freezeline/v1
service: gateway
owner: {{team: gateway}}
defaults: {{interval: 15s, scrape: 5s}}
alerts:
  FailureRateHigh:
    ratio: {{bad: 'http_requests_total{{job="gateway",code=~"5.."}}', total: 'http_requests_total{{job="gateway"}}'}}
    over: 1m
    above: 0.5%
    by: [instance]
    for: 30s
    within: 1m
    severity: critical
policy:
  - {{on: {{alert: FailureRateHigh}}, do: [freeze, rollback, tell], until: {{resolved_for: 1s}}}}
actions:
  freeze: {{flag: /proc/self/cwd/flags/FREEZE.FLAG}}
  rollback:
    command: [{service}/rollback.sh]
    timeout: 30s
    verify: {{command: [{service}/verify.sh], timeout: 10s}}
    release: {{command: [{service}/current.sh], timeout: 5s}}
  tell:
    channels: [slack]
    events: [frozen, rollback_started, rollback_done, rollback_failed, unfrozen]
"""
RECEIVERS = 3
SECOND = {2: 1}
"""The third receiver is on the host of the second one."""

PROCESSES = (
    *(f"receiver {number}" for number in range(RECEIVERS)),
    *(f"alertmanager {n}" for n in range(3)),
    "primary",
)
WAIT_S = 120.0
AGREE_S = 1.0
SETTLE_S = 5
"""After this time, an Alertmanager that was killed has every alert again: Prometheus sends twice a second here."""

SHIPPED = "'10s'"
"""How long the generated routes wait with an alert's end. Routes to people wait as long for the first alert."""

HELD = "SELECT count(*) FROM freeze_reason WHERE ended_at IS NULL"


class Storm:
    """The processes of one seed, two of which die at once, again and again."""

    def __init__(
        self, receivers: Supervisor, relay: Relay, managers: Alertmanagers, databases: Servers, random: Random
    ) -> None:
        self.hosts = receivers.hosts
        self.receivers = receivers
        self.relay = relay
        self.managers = managers
        self.databases = databases
        self.random = random
        self.killed: list[str] = []

    async def kill_two(self) -> None:
        """SIGKILL two processes at once. If the primary is one of them, its standby takes over."""
        names = self.random.sample(PROCESSES, 2)
        self.killed.append(" and ".join(names))
        for name in names:
            kind, _, number = name.partition(" ")
            of_kind: Mapping[str, Callable[[int], Any]] = {
                "receiver": self.receivers.running,
                "alertmanager": self.managers.running,
            }
            if kind in of_kind and (server := of_kind[kind](int(number))) is not None:
                server.process.kill()
        if "primary" in names:
            await asyncio.to_thread(self.databases.fail_over)

    async def through(self, alerts: Sequence[Mapping[str, Any]], kills: int, *, frozen: bool) -> None:
        """Let Prometheus send these alerts, kill, and wait until the flags of both hosts are right."""
        self.managers.alerts = alerts
        for _ in range(kills):
            await asyncio.sleep(self.random.uniform(0.1, 2))
            await self.kill_two()
        await until(lambda: self.receivers.all_run() and self.managers.all_run(), WAIT_S, "all run again")
        await until(self.healthy, WAIT_S, "every receiver can store a webhook")
        await until(lambda: self.held() == (len(alerts) if frozen else 0), WAIT_S, "every alert is taken")
        await until(self.hosts.frozen if frozen else self.hosts.unfrozen, AGREE_S, "the flags of both hosts are right")
        await until(lambda: set(self.hosts.rollbacks()) == {"SUCCEEDED"}, WAIT_S, "the rollback is done")

    def held(self) -> int:
        """How many alerts hold the freeze."""
        ((count,),) = self.hosts.rows(HELD)
        return int(count)

    async def healthy(self) -> bool:
        """Whether every receiver runs and can store. A leader that meets another one ends, and is started again."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            answers = [await one.get("/health/detailed") for one in list(self.receivers.up.values())]
            stored = all(answer["components"]["journal"]["status"] == "ok" for answer in answers)
            return stored and self.receivers.all_run()
        return False


@contextlib.asynccontextmanager
async def storm(root: Path, generation: Generation, random: Random, *, interval_s: int) -> AsyncIterator[Storm]:
    """All processes. `interval_s` is how long Alertmanager waits with an alert's end."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        with servers() as databases:
            hosts = Hosts.made(root, databases.dsn, slack, count=RECEIVERS, rollback="sleep 1")
            hosts.second = SECOND
            async with relayed(hosts) as relay:
                ports = free_ports(COUNT)
                for site in hosts.sites:
                    site.settings["alertmanagers"] = [f"http://127.0.0.1:{port}" for port in ports]
                    site.settings["alertmanager_settle_s"] = SETTLE_S
                made = generated(hosts, root / "generated", relay.urls())
                config = made.joinpath("alertmanager", "_all.yml").read_text().replace(SHIPPED, f"'{interval_s}s'")
                async with supervised(hosts) as receivers, alertmanagers(generation, root, config, ports) as managers:
                    relay.up = receivers.up
                    yield Storm(receivers, relay, managers, databases, random)


def generated(hosts: Hosts, folder: Path, urls: Sequence[str]) -> Path:
    """Generate rules, policy and routes, give the policy to every receiver, and return the folder of the rules.

    As the docs say, every receiver has the same tokens.
    """
    first, *others = hosts.sites
    tokens = ensure_tokens(first.state / "tokens")
    for site in others:
        shutil.copytree(first.state / "tokens", site.state / "tokens")
    folder.mkdir()
    (folder / "freezeline-webhook").write_text(tokens.by_role[Role.WEBHOOK])
    spec = folder / "gateway.yaml"
    spec.write_text(SPEC.format(service=first.root / "service"))
    calls = [part for url in urls for part in ("--webhook-url", url)]
    assert main(["generate", str(spec), "-o", str(folder), "--scope", "storm", "--secrets", str(folder), *calls]) == 0
    rules = folder / "rules"
    for site in hosts.sites:
        site.policy.update(json.loads((rules / "policy" / "gateway.policy.json").read_text()))
        site.write()
    return rules


def alerts_of(rules: Path, count: int, since: datetime, *, ended: bool) -> list[dict[str, Any]]:
    """What Prometheus sends for the generated rule, one alert for each instance."""
    groups = yaml.safe_load((rules / "gateway.rules.yml").read_text())["groups"]
    (rule,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == "FailureRateHigh"]
    labels = {"alertname": rule["alert"], **rule["labels"]}
    notes = {"summary": "2.3 % of HTTP requests failed over 1 min", "spec": rule["annotations"]["spec"]}
    return [alert({**labels, "instance": f"gateway-{number}"}, notes, since, ended=ended) for number in range(count)]
