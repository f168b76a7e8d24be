"""System C on its launch day: errors of the new version, escalation, status, the decision to roll back, recovery.

Everything is real but the vendors and the people: HAProxy before two versions, Prometheus, Alertmanager, the receiver,
and its command line. The people are stand-ins for Slack, PagerDuty and a mail relay. Durations are divided, thresholds
and counts are as shipped.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from msgspec import Struct

from tests.acceptance.receiver.harness import Receiver, Site, receiver, script
from tests.acceptance.release.shop import write_policy
from tests.acceptance.workload.test_alerts_of_launch import here, provider_of
from tests.acceptance.workload.watched import Repeat, Watched, watched
from tests.balancers import free_ports
from tests.fakes.http import ROUTING_KEY, SLACK_PATH, PagerDutyFake, SlackFake, running
from tests.fakes.smtp import SmtpFake, running_smtp
from tests.tools import ROOT, Generation, gone_with_us, program, stop
from tests.waiting import until, wait_until
from tests.workload import Service, service

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("launch")]

FASTER = 5
"""Alerts: windows of 12 s instead of a minute."""

PEOPLE_FASTER = 100
"""Escalation after 0, 3 and 9 s instead of 0, 5 and 15 min; a status every 18 s instead of 30 min."""

LATE_S = 2.5
"""How late a notice may be planned: the escalator looks once a second."""

HAPROXY = """\
global
  stats socket {socket} level admin
defaults
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 20s
backend scripts
  balance roundrobin
  server old 127.0.0.1:{old} weight 0
  server new 127.0.0.1:{new} weight 100
frontend front
  bind 127.0.0.1:{front}
  default_backend scripts
"""

SHIFT = """\
import socket
admin = socket.socket(socket.AF_UNIX)
admin.connect("{socket}")
admin.sendall(b"set server scripts/old weight 100; set server scripts/new weight 0\\n")
admin.recv(99)
"""


class People(Struct, frozen=True, kw_only=True):
    """The stand-ins of Slack, PagerDuty and the mail relay."""

    slack: SlackFake
    pagerduty: PagerDutyFake
    mail: SmtpFake

    def heads(self) -> list[str]:
        """Headers of the messages that Slack got, in order."""
        return [one["blocks"][0]["text"]["text"] for one in self.slack.received]

    def texts(self) -> str:
        """Everything that Slack got."""
        return "\n".join(block["text"]["text"] for one in self.slack.received for block in one["blocks"])


class Day(Struct, frozen=True, kw_only=True):
    """Everything that runs."""

    site: Site
    scripts: Service
    seen: Watched
    receiver: Receiver
    people: People

    def freezeline(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command on this machine, beside the receiver."""
        argv = [sys.executable, "-m", "freezeline", *words, "--state", str(self.site.state)]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def seconds_of(self, keys: str) -> list[float]:
        """When notices were planned: seconds after the incident began, each distinct time once."""
        (opened,) = self.site.rows("SELECT min(opened_at) FROM episode")[0]
        rows = self.site.rows("SELECT min(created_at), key FROM action WHERE key LIKE ? GROUP BY key", keys)
        levels = {key.rpartition(":")[2]: at for at, key in rows}
        begun = datetime.fromisoformat(opened)
        return [(datetime.fromisoformat(at) - begun).total_seconds() for _, at in sorted(levels.items())]


@contextlib.asynccontextmanager
async def people(root: Path) -> AsyncIterator[tuple[People, dict[str, object]]]:
    """Stand-ins that run, and the receiver's channels of the shipped spec that lead to them."""
    found = People(slack=SlackFake(), pagerduty=PagerDutyFake(), mail=SmtpFake())
    async with (
        running(found.slack, SLACK_PATH),
        running(found.pagerduty, "/v2/enqueue"),
        running_smtp(found.mail),
    ):
        (root / "slack-url").write_text(found.slack.url)
        (root / "pd-key").write_text(ROUTING_KEY)
        pagerduty = {"type": "pagerduty", "routing_key_file": str(root / "pd-key"), "url": found.pagerduty.url}
        channels: dict[str, object] = {
            "log": {"type": "log"},
            "slack-day0-launch-war-room": {"type": "slack", "url_file": str(root / "slack-url")},
            "pagerduty-day0": pagerduty,
            "pagerduty-day0-lead": pagerduty,
            "email-day0": {"type": "email", "to": "day0@example.org", "smtp": f"smtp://127.0.0.1:{found.mail.port}"},
        }
        yield found, channels


def the_site(root: Path, channels: dict[str, object]) -> Site:
    """The shipped policy with this machine's paths, and scripts that shift the traffic of HAProxy."""
    site = Site(root=root, settings={"channels": channels})
    (root / "policy" / "gateway.policy.json").unlink()
    folder = root / "service"
    (folder / "shift.py").write_text(SHIFT.format(socket=root / "admin.sock"))
    script(
        folder / "rollback.sh",
        f'echo "$FREEZELINE_FACT_RELEASE" >> {folder}/rollbacks\n'
        f"{sys.executable} {folder}/shift.py\necho v1 > {folder}/current",
    )
    for name in ("deploy.sh", "redeploy.sh"):
        script(folder / name, "true")
    text = here(root, FASTER)
    text = text.replace("do: [freeze, fallback, tell]}", "do: [freeze, fallback, tell], until: {resolved_for: 1s}}")
    path = root / "policy" / "day0-launch.policy.json"
    write_policy(root, text, path)
    policy = json.loads(path.read_text())
    policy["status_every_s"] /= PEOPLE_FASTER
    for level in policy["escalation"]:
        level["after_s"] /= PEOPLE_FASTER
    path.write_text(json.dumps(policy))
    return site


@contextlib.contextmanager
def balanced(root: Path, old: Service, new: Service) -> Iterator[Service]:
    """HAProxy before both versions; all traffic goes to the new one."""
    (front,) = free_ports(1)
    config, log = root / "haproxy.cfg", root / "haproxy.log"
    config.write_text(HAPROXY.format(socket=root / "admin.sock", old=old.port, new=new.port, front=front))
    with log.open("ab") as output:
        process = subprocess.Popen([str(program("haproxy")), "-db", "-f", str(config)], stdout=output, stderr=output)
    with gone_with_us(process):
        try:
            wait_until((root / "admin.sock").exists, 20, "haproxy runs")
            yield Service(url=f"http://127.0.0.1:{front}", log=log, process=process)
        finally:
            stop(process)


@contextlib.asynccontextmanager
async def launch_day(generation: Generation, root: Path) -> AsyncIterator[Day]:
    """v1 and a v2 of which every tenth request fails, and all who watch."""
    async with people(root) as (found, channels):
        site = the_site(root, channels)
        flags = ["--flags", str(site.feature_flags)]
        with contextlib.ExitStack() as stack:
            providers = stack.enter_context(service(root, "providers", "providers"))
            versions = [
                stack.enter_context(
                    service(
                        root,
                        f"scripts-{version}",
                        "scripts",
                        ["--providers", providers.url, "--version", version, *flags],
                        scripts_fault=fault,
                        scripts_log_level="ERROR",
                    )
                )
                for version, fault in (("v1", "none"), ("v2", "errors"))
            ]
            front = stack.enter_context(balanced(root, *versions))
            async with receiver(site) as running_receiver:
                hook = {"webhook": f"{running_receiver.url}/webhook", "token": site.token("webhook")}
                targets = {"scripts": [one.port for one in versions]}
                seen = await asyncio.to_thread(
                    lambda: stack.enter_context(
                        watched("day0-launch", generation, root, targets, faster=FASTER, up=2, **hook)
                    )
                )
                yield Day(site=site, scripts=front, seen=seen, receiver=running_receiver, people=found)


@pytest.mark.old_in_soak
async def test_launch_day(generation: Generation, tmp_path: Path) -> None:
    """Alert → freeze and fallback; levels 1, 2, 3 and status in time; a person decides; the service recovers."""
    async with launch_day(generation, tmp_path) as day:
        site, found = day.site, day.people
        repeat = Repeat()
        with contextlib.ExitStack() as stack:
            stack.callback(repeat.end)
            for _ in range(4):
                repeat.every(0.1, lambda: provider_of(day.scripts))
            await until(site.flag.exists, 60, "the alert freezes")
            await until(lambda: site.default_variant("provider_fallback") == "on", 20, "the flag is switched")
            await until(
                lambda: asyncio.to_thread(lambda: provider_of(day.scripts) == "anthropic"), 10, "all ask the fallback"
            )
            await until(lambda: "roll back?" in found.texts(), 30, "level 3 asks for the decision")
            decided = ("--reason", "errors since the launch", "--by", "Ana")
            ran = await asyncio.to_thread(day.freezeline, "rollback", "script-generation", *decided)
            assert (ran.returncode, "is frozen and rolls back" in ran.stdout) == (0, True), ran.stderr
            await until(lambda: site.lines("rollbacks") == ["v2"], 20, "the new version is rolled back, once")
            await until(lambda: not day.seen.firing(), 60, "the alert is over")
            await until(lambda: "script-generation: still open" in found.heads(), 30, "a status update")
            decided = ("--reason", "v1 answers without errors", "--by", "Ana")
            ran = await asyncio.to_thread(day.freezeline, "unfreeze", "script-generation", *decided)
            assert ran.returncode == 0, ran.stderr
            await until(lambda: not site.flag.exists(), 10, "the service is unfrozen")
            live = "SELECT count(*) FROM episode WHERE state IN ('OPEN', 'RESOLVING')"
            await until(lambda: site.rows(live) == [(0,)], 30, "the incident is over")
            await until(lambda: site.default_variant("provider_fallback") == "off", 20, "the flag is switched back")
        times = day.seconds_of("notice:%:escalation:%")
        assert len(times) == 3, times
        assert all(due <= at <= due + LATE_S for due, at in zip((0, 3, 9), times, strict=True)), times
        (status,) = day.seconds_of("notice:%:status:%")[:1]
        assert 18 <= status <= 18 + LATE_S
        assert site.lines("rollbacks") == ["v2"]
        heads = [f"script-generation: nobody has acknowledged yet (level {level})" for level in (1, 2, 3)]
        assert [one for one in found.heads() if one in heads] == heads
        assert [mail["Subject"] for mail in found.mail.received] == [f"[critical] {heads[2]}"]
        paged = [one["payload"]["summary"] for one in found.pagerduty.received if one["event_action"] == "trigger"]
        assert [one.partition(":")[2].partition(":")[0] for one in paged if "nobody has" in one] == [
            head.partition(":")[2] for head in heads[:2]
        ]
        limit = ("--mttr-at-most", "300", "--service", "script-generation")
        ran = await asyncio.to_thread(day.freezeline, "incidents", *limit)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        print(json.dumps({"escalation_s": times, "status_s": status}), ran.stdout)
