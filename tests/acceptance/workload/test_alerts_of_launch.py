"""System C: each alert of launch day fires from a real fault, in time, and the freeze switches the provider's flag.

The table is the one of docs/workload.md. `./dev soak` takes all rows with the shipped durations.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from tests.acceptance.receiver.harness import Site, receiver
from tests.acceptance.release.shop import write_policy
from tests.acceptance.workload.watched import Repeat, Watched, expect, faster_text, watched
from tests.balancers import free_ports
from tests.tools import ROOT, Generation, request
from tests.waiting import until
from tests.workload import Service, service

SEED = int(os.environ.get("FREEZELINE_SEED", "1"))

PAGED = ("devops-slack-pagerduty",)
TOLD = ("devops-slack",)
CHANNELS = ("log", "slack-day0-launch-war-room", "pagerduty-day0", "pagerduty-day0-lead", "email-day0")
"""Nobody is paged on this machine: every channel of the spec writes to the receiver's log."""


class Row(Struct, frozen=True, kw_only=True):
    """One row: the fault of the version or of the first vendor, the alert, its promise, and who hears of the alert.

    The value of `bad` rises with the first bad sample.
    """

    words: str
    alert: str
    bad: str
    receivers: Sequence[str]
    fault: str = "none"
    vendor: Mapping[str, object] = {}
    within_s: float
    freezes: bool


ROWS = (
    Row(
        words="the first vendor answers after 0.8 s",
        alert="SSEFirstEventSlow",
        bad='sum(sse_time_to_first_event_seconds_count) - sum(sse_time_to_first_event_seconds_bucket{le="0.5"})',
        receivers=PAGED,
        vendor={"kind": "slow", "wait_s": 0.8},
        within_s=30,
        freezes=True,
    ),
    Row(
        words="`SCRIPTS_FAULT=errors`",
        alert="Http5xxHigh",
        bad='sum(http_requests_total{code="500"})',
        receivers=PAGED,
        fault="errors",
        within_s=60,
        freezes=True,
    ),
    Row(
        words="`SCRIPTS_FAULT=flaps`",
        alert="ReadinessFlapping",
        bad='sum(kube_pod_status_ready{condition="false"})',
        receivers=TOLD,
        fault="flaps",
        within_s=120,
        freezes=False,
    ),
)
FOLLOWS = {
    True: "Slack and PagerDuty; freeze; the flag `provider_fallback` is switched on",
    False: "Slack",
}
"""Whether an alert freezes → what follows, in the words of the docs."""

MTTR_S = 300
"""Of the incidents in the journal: alerts with an action."""

USERS = 20
UNFROZEN_S = 420.0
"""The policy unfreezes five minutes after the alert has resolved."""


def provider_of(scripts: Service) -> str:
    """One script; the last provider that began, or "" for a failed request."""
    body = json.dumps({"topic": "freezes"}).encode()
    wanted = urllib.request.Request(f"{scripts.url}/api/v1/scripts", data=body)
    try:
        with urllib.request.urlopen(wanted, timeout=20) as stream:
            providers: list[str] = re.findall(r"event: provider\ndata: (\w+)", stream.read().decode())
            return providers[-1]
    except urllib.error.HTTPError:
        return ""


class Launch:
    """The running version, its receiver's site, and what watches. The version's port stays the same."""

    def __init__(self, root: Path, site: Site, stack: contextlib.ExitStack) -> None:
        self.root = root
        self.site = site
        self.repeat = Repeat()
        self.providers = stack.enter_context(service(root, "providers", "providers"))
        (self.port,) = free_ports(1)
        self._version = stack.enter_context(contextlib.ExitStack())
        self.scripts = self.release("none")

    def release(self, fault: str) -> Service:
        """Let a version with this fault run."""
        self._version.close()
        words = ["--port", str(self.port), "--providers", self.providers.url, "--flags", str(self.site.feature_flags)]
        quiet = {"scripts_fault": fault, "scripts_log_level": "ERROR"}
        return self._version.enter_context(service(self.root, "scripts", "scripts", words, **quiet))

    def vendor(self, fault: Mapping[str, object]) -> None:
        """Switch the first vendor's fault; `{}` mends the vendor."""
        request("POST", f"{self.providers.url}/faults", json.dumps({"openai": fault}).encode())

    def ask(self) -> str:
        """One script; the last provider that began, or "" for a failed request."""
        return provider_of(self.scripts)

    def load(self) -> None:
        """Users ask, and come back a second after their answer: slow answers hardly make the load smaller."""
        for number in range(USERS):
            self.repeat.every(1, self.ask, later_s=number / USERS)

    def begin(self, row: Row) -> None:
        """Break the version or the vendor, under load."""
        if row.fault != "none":
            self.release(row.fault)
        self.load()
        if row.vendor:
            self.vendor(row.vendor)

    def mend(self) -> None:
        """A good version, and a vendor that works."""
        self.repeat.end()
        self.vendor({})
        self.release("none")
        self.load()


def here(root: Path, faster: int) -> str:
    """The shipped spec with this machine's paths."""
    text = faster_text("day0-launch", faster)
    for shipped, own in {
        "/var/lib/freezeline-flags/script-generation/": f"{root}/flags/",
        "/etc/flagd/script-generation.json": f"{root}/service/flags.json",
        "/opt/day0/is-rolled-back.sh": f"{root}/service/verify.sh",
        "/opt/day0/current-release.sh": f"{root}/service/current.sh",
        "/opt/day0/": f"{root}/service/",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, own)
    return text


@contextlib.asynccontextmanager
async def launch(generation: Generation, root: Path, faster: int) -> AsyncIterator[tuple[Launch, Watched]]:
    """Vendors, one version, its probe, the receiver, and what watches."""
    channels = {name: {"type": "log"} for name in CHANNELS}
    site = Site(root=root, settings={"channels": channels})
    (root / "policy" / "gateway.policy.json").unlink()
    for name in ("deploy.sh", "redeploy.sh"):
        (root / "service" / name).write_text("#!/bin/sh\n")
        (root / "service" / name).chmod(0o755)
    write_policy(root, here(root, faster), root / "policy" / "day0-launch.policy.json")
    with contextlib.ExitStack() as stack:
        found = Launch(root, site, stack)
        stack.callback(found.repeat.end)
        probe = stack.enter_context(service(root, "probes", "probes", [f"scripts-0={found.scripts.url}/ready"]))
        targets = {"scripts": [found.port], "kube-state-metrics": [probe.port]}
        async with receiver(site) as running:
            hook = {"webhook": f"{running.url}/webhook", "token": site.token("webhook")}
            seen = stack.enter_context(watched("day0-launch", generation, root, targets, faster=faster, up=2, **hook))
            yield found, seen


async def see(row: Row, found: Launch, seen: Watched, faster: int) -> None:
    """Break the version, and see the alert in time, and the action."""
    assert await asyncio.to_thread(found.ask) in {"openai", ""}
    begun = time.time()
    await asyncio.to_thread(found.begin, row)
    slack_s = 3 * 15 / faster + 20  # intervals of scrapes and rules, and the start of the load
    within_s = row.within_s / faster + slack_s
    sight = await asyncio.to_thread(
        expect, seen, row.alert, row.receivers, since=begun, within_s=within_s, repeat=found.repeat, bad=row.bad
    )
    print(sight, flush=True)
    assert sight.bad_s is not None
    assert sight.bad_s <= row.within_s / faster + 1 / faster, sight
    if row.freezes:
        await until(found.site.flag.exists, 30, "the flag is on disk")
        await until(lambda: found.site.default_variant("provider_fallback") == "on", 30, "the flag is switched")
        await until(lambda: asyncio.to_thread(lambda: found.ask() == "anthropic"), 10, "all ask the fallback")
    else:
        assert not found.site.flag.exists()


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("row", ROWS, ids=[row.alert for row in ROWS])
async def test_every_alert_fires_from_its_fault_in_time(row: Row, generation: Generation, tmp_path: Path) -> None:
    """With the shipped durations: within the promise, from the first bad sample that was scraped."""
    async with launch(generation, tmp_path, 1) as (found, seen):
        await see(row, found, seen, 1)


def restarts_forgotten(seen: Watched) -> bool:
    """Each restart of a version changes its readiness twice, and two restarts within two minutes look like flapping."""
    return not seen.prometheus.query('changes(kube_pod_status_ready{condition="true"}[2m]) > 0')


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_every_alert_fires_in_any_order(generation: Generation, tmp_path: Path) -> None:
    """One running launch, mended and unfrozen after each fault."""
    order = random.Random(SEED).sample(ROWS, len(ROWS))
    print(f"seed {SEED}: {', '.join(row.alert for row in order)}")
    async with launch(generation, tmp_path, 1) as (found, seen):
        for row in order:
            await see(row, found, seen, 1)
            await asyncio.to_thread(found.mend)
            await until(lambda: asyncio.to_thread(lambda: not seen.active()), 300, "no alert is left")
            await until(lambda: asyncio.to_thread(lambda: restarts_forgotten(seen)), 300, "no restart is remembered")
            await until(lambda: not found.site.flag.exists(), UNFROZEN_S, "the policy unfreezes")
            await until(lambda: found.site.default_variant("provider_fallback") == "off", 30, "the flag is back")
            await asyncio.to_thread(found.repeat.end)
        argv = [sys.executable, "-m", "freezeline", "incidents", "--state", str(found.site.state)]
        argv += ["--service", "script-generation", "--mttr-at-most", str(MTTR_S)]
        ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        print(ran.stdout, ran.stderr)
        assert (ran.returncode, "2 ended, 0 open" in ran.stdout) == (0, True)


@pytest.mark.acceptance
@pytest.mark.xdist_group("launch")
@pytest.mark.old_in_soak
async def test_a_freeze_switches_the_vendor(generation: Generation, tmp_path: Path) -> None:
    """Errors → alert → freeze → flag: from then on, every request asks the fallback vendor. Times divided by five."""
    async with launch(generation, tmp_path, 5) as (found, seen):
        await see(ROWS[1], found, seen, 5)
