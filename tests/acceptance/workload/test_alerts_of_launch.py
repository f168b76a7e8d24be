"""System C: each alert of launch day fires from a real fault, in time, and the freeze switches the provider's flag.

The table is the one of docs/workload.md. `./dev soak` runs all rows with the shipped durations.
"""

import asyncio
import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import Struct

from tests.acceptance.receiver.harness import Site, receiver
from tests.acceptance.release.shop import write_policy
from tests.acceptance.workload.watched import Watched, expect, faster_text, repeated, watched
from tests.tools import ROOT, Generation, request
from tests.waiting import until
from tests.workload import Service, service

PAGED = ("devops-slack-pagerduty",)
TOLD = ("devops-slack",)
CHANNELS = ("log", "slack-day0-launch-war-room", "pagerduty-day0", "pagerduty-day0-lead", "email-day0")
"""Nobody is paged on this machine: every channel of the spec writes to the receiver's log."""


class Row(Struct, frozen=True, kw_only=True):
    """One row: the fault of the version or of the first vendor, the alert, its promise, and who hears of the alert."""

    alert: str
    receivers: Sequence[str]
    fault: str = "none"
    vendor: Mapping[str, object] = {}
    within_s: float
    freezes: bool


ROWS = (
    Row(
        alert="SSEFirstEventSlow",
        receivers=PAGED,
        vendor={"kind": "slow", "wait_s": 0.8},
        within_s=30,
        freezes=True,
    ),
    Row(alert="Http5xxHigh", receivers=PAGED, fault="errors", within_s=60, freezes=True),
    Row(alert="ReadinessFlapping", receivers=TOLD, fault="flaps", within_s=120, freezes=False),
)


class Launch(Struct, frozen=True, kw_only=True):
    """The running version, its receiver's site, and what watches."""

    site: Site
    scripts: Service
    providers: Service
    seen: Watched

    def ask(self) -> str:
        """One script; the last provider that began, or "" for a failed request."""
        body = json.dumps({"topic": "freezes"}).encode()
        wanted = urllib.request.Request(f"{self.scripts.url}/api/v1/scripts", data=body)
        try:
            with urllib.request.urlopen(wanted, timeout=20) as stream:
                providers: list[str] = re.findall(r"event: provider\ndata: (\w+)", stream.read().decode())
                return providers[-1]
        except urllib.error.HTTPError:
            return ""


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
async def launch(row: Row, generation: Generation, root: Path, faster: int) -> AsyncIterator[Launch]:
    """Vendors, one version, its probe, the receiver, and what watches."""
    channels = {name: {"type": "log"} for name in CHANNELS}
    site = Site(root=root, settings={"channels": channels})
    (root / "policy" / "gateway.policy.json").unlink()
    for name in ("deploy.sh", "redeploy.sh"):
        (root / "service" / name).write_text("#!/bin/sh\n")
        (root / "service" / name).chmod(0o755)
    write_policy(root, here(root, faster), root / "policy" / "day0-launch.policy.json")
    flags = ["--flags", str(site.feature_flags)]
    with contextlib.ExitStack() as stack:
        providers = stack.enter_context(service(root, "providers", "providers"))
        shared = ["--providers", providers.url, *flags]
        scripts = stack.enter_context(
            service(root, "scripts", "scripts", shared, scripts_fault=row.fault, scripts_log_level="ERROR")
        )
        probe = stack.enter_context(service(root, "probes", "probes", [f"scripts-0={scripts.url}/ready"]))
        targets = {"scripts": [scripts.port], "kube-state-metrics": [probe.port]}
        async with receiver(site) as running:
            hook = {"webhook": f"{running.url}/webhook", "token": site.token("webhook")}
            seen = stack.enter_context(watched("day0-launch", generation, root, targets, faster=faster, **hook))
            yield Launch(site=site, scripts=scripts, providers=providers, seen=seen)


async def run(row: Row, generation: Generation, root: Path, faster: int) -> float:
    """Break the version, see the alert and the action, and return the seconds until the alert."""
    async with launch(row, generation, root, faster) as found:
        assert await asyncio.to_thread(found.ask) in {"openai", ""}
        with repeated() as every:
            for _ in range(4):
                every(0.1, found.ask)
            if row.vendor:
                request("POST", f"{found.providers.url}/faults", json.dumps({"openai": row.vendor}).encode())
            slack_s = 3 * 15 / faster + 20  # intervals of scrapes and rules, and the start of the load
            took_s = await asyncio.to_thread(
                expect, found.seen, row.alert, row.receivers, within_s=row.within_s / faster + slack_s
            )
            if row.freezes:
                await until(found.site.flag.exists, 30, "the flag is on disk")
                await until(lambda: found.site.default_variant("provider_fallback") == "on", 30, "the flag is switched")
                await until(lambda: asyncio.to_thread(lambda: found.ask() == "anthropic"), 10, "all ask the fallback")
            else:
                assert not found.site.flag.exists()
        return took_s


@pytest.mark.acceptance
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("row", ROWS, ids=[row.alert for row in ROWS])
async def test_every_alert_fires_from_its_fault_in_time(row: Row, generation: Generation, tmp_path: Path) -> None:
    """With the shipped durations: within the promise, from the first bad sample that was scraped."""
    begun = time.monotonic()
    took_s = await run(row, generation, tmp_path, 1)
    print(f"{row.alert}: {took_s:.1f} s after the load began, {time.monotonic() - begun:.0f} s in all")


@pytest.mark.acceptance
@pytest.mark.xdist_group("launch")
async def test_a_freeze_switches_the_vendor(generation: Generation, tmp_path: Path) -> None:
    """Errors → alert → freeze → flag: from then on, every request asks the fallback vendor. Times divided by five."""
    if generation.label == "old":
        pytest.skip("both generations are taken by ./dev soak")
    await run(ROWS[1], generation, tmp_path, 5)


def test_the_table_is_whole_and_documented() -> None:
    """Each alert of the spec has a row here and in docs/workload.md."""
    spec = (ROOT / "slos" / "day0-launch.yaml").read_text()
    section = re.search(r"^alerts:.*?\n(.*?)^\w", spec, re.MULTILINE | re.DOTALL)
    assert section
    names = re.findall(r"^  (\w+):", section[1], re.MULTILINE)
    assert sorted(row.alert for row in ROWS) == sorted(names)
    text = (ROOT / "docs" / "workload.md").read_text()
    assert all(f"| `{name}` |" in text for name in names)
