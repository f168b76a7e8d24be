"""System B from its shipped spec: the guard, 10 % of real traffic, deployment and rollback measured, all by itself."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.release.rollouts import Rollouts, engine
from tests.acceptance.release.systems import Ports, System, deploy_s, free, opened, rollback_s, split, targets
from tests.acceptance.release.test_rollout import current
from tests.tools import ROOT, gone_with_us, stop
from tests.waiting import until, wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(300)]

B = System(file="canary-medium.yaml", service="shop", servers=("stable", "canary"), channel="slack-shop", per_second=60)
DEPLOY_S, ROLLBACK_S = 300, 600  # systems.md: less than 5 and 10 minutes
PROGRAMS = {"v1": [], "v2": ["--fails-every", "30"], "v3": []}
"""v2 fails 3.3 % of its requests: more than the gate allows, and at 10 % too few for the alert of the whole shop."""

DEPLOY = """\
set -eu
release=$FREEZELINE_FACT_RELEASE
echo "$release" >{root}/canary/release.new
mv {root}/canary/release.new {root}/canary/release
until [ "$(cat {root}/canary/running)" = "$release" ]; do sleep 0.1; done
echo '[{{"targets": ["127.0.0.1:{port}"], "labels": {{"version": "'"$release"'"}}}}]' >{root}/canary.json.new
mv {root}/canary.json.new {root}/canary.json
echo "$release" >>{root}/service/deploys
echo "$release" >{root}/service/current"""

ROLLBACK = """\
set -eu
echo "$FREEZELINE_FACT_RELEASE" >>{root}/service/rollbacks
FREEZELINE_FACT_RELEASE=v1 {root}/service/deploy.sh"""


@contextlib.contextmanager
def machines(root: Path, ports: Ports) -> Iterator[None]:
    """Both machines, which run v1 at first."""
    argv = [sys.executable, str(Path(__file__).with_name("run_machines.py")), str(root)]
    argv += [str(ports.stable), str(ports.canary), json.dumps(PROGRAMS)]
    with (root / "machines.log").open("ab") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT)})
    running = [root / name / "running" for name in ("stable", "canary")]
    with gone_with_us(process):
        try:
            wait_until(lambda: all(path.exists() and path.read_text() for path in running), 30, "v1 runs")
            yield
        finally:
            stop(process)


@contextlib.asynccontextmanager
async def running_shop(tmp_path: Path, past: str = "") -> AsyncIterator[Rollouts]:
    """The shop with v1 on both machines, scraped and evaluated as often as the spec says."""
    ports = free()
    for name, port in (("stable", ports.stable), ("canary", ports.canary)):
        targets(tmp_path / f"{name}.json", port, {"version": "v1"})
    scrapes = {
        "global": {"scrape_interval": "10s", "scrape_timeout": "5s"},
        "scrape_configs": [
            {
                "job_name": "shop",
                "honor_labels": True,
                "file_sd_configs": [{"files": [f"{tmp_path}/stable.json", f"{tmp_path}/canary.json"]}],
            }
        ],
    }
    scripts = {
        "deploy.sh": DEPLOY.format(root=tmp_path, port=ports.canary),
        "rollback.sh": ROLLBACK.format(root=tmp_path),
    }
    with machines(tmp_path, ports):
        async with opened(B, tmp_path, current(), ports, scrapes=scrapes, scripts=scripts, past=past) as found:
            (found.site.root / "service" / "current").write_text("v1\n")
            yield found


def guard(shop: Rollouts) -> tuple[int, str]:
    """Exit code and objections of `freezeline gate`, as a pipeline calls it."""
    argv = [sys.executable, "-m", "freezeline", "gate", str(shop.policy), "--json"]
    argv += ["--prometheus", shop.prometheus.url, "--state", str(shop.site.state)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, ", ".join(one["id"] for one in report["checks"] if one["verdict"] != "GO")


def rehearsed(shop: Rollouts, deployed_s: float, rolled_back_s: float) -> None:
    """Write a line of the history, as a rehearsal does."""
    now = datetime.now(UTC).isoformat()
    spec = json.loads(shop.policy.read_text())["spec"]
    line = {"kind": "canary", "service": "shop", "started_at": now, "ended_at": now, "ok": True}
    line |= {"spec": spec, "host": socket.gethostname()}
    with (shop.site.state / "rehearsals.jsonl").open("a") as history:
        history.write(json.dumps({**line, "deploy_s": deployed_s, "rollback_s": rolled_back_s}) + "\n")


def budgets() -> str:
    """What the rules have recorded until now. A new Prometheus knows no budget for a quarter of an hour."""
    now = int(time.time())
    lines = ["# TYPE slo:error_budget_remaining gauge"]
    for slo in ("availability", "latency", "errors"):
        labels = f'service="shop",slo="{slo}",scope="slos",profile="30d-30s"'
        lines += [f"slo:error_budget_remaining{{{labels}}} 0.9 {now - 60 * ago}" for ago in range(20, -1, -1)]
    return "\n".join([*lines, "# EOF\n"])


async def test_route_ten_percent_deploy_and_roll_back(tmp_path: Path) -> None:
    """The guard refuses without a rehearsal, and after a slow one. Then: deploy, exactly 10 %, and a person's abort."""
    async with running_shop(tmp_path, budgets()) as shop:
        await deploy_route_and_roll_back(shop)


async def deploy_route_and_roll_back(shop: Rollouts) -> None:
    """What a pipeline and an operator do."""
    await until(lambda: guard(shop) == (2, "canary-rehearsed"), 60, "only the rehearsal is missing")
    with engine(shop, "v3") as running:
        assert await running.ended() == 1
    assert shop.phase() == "refused"
    rehearsed(shop, 301, 20)
    assert guard(shop) == (1, "canary-rehearsed")
    rehearsed(shop, 20, 20)
    assert guard(shop) == (0, "")
    with engine(shop, "v3") as running:
        await until(lambda: shop.phase() == "settle", 60, "v3 gets traffic")
        assert abs(split(shop.front, 10_000)["v3"] - 1000) <= 100
        assert shop.command("abort", "--reason", "rehearsal").returncode == 0
        assert await running.ended() == 1
    check_taken_back(shop, "v3")
    assert guard(shop)[0] == 1, "the freeze of the abort holds the next deployment"


def check_taken_back(shop: Rollouts, release: str) -> None:
    """No traffic, no session, one rollback, people who know, and both times as promised."""
    assert shop.phase() == "rolled_back"
    assert (shop.weights(), shop.sessions()) == ({"stable": 100, "canary": 0}, 0)
    assert shop.rollbacks() == [(release, "SUCCEEDED")]
    assert shop.site.lines("rollbacks") == [release]
    assert (shop.site.root / "canary" / "running").read_text() == "v1\n"
    assert {"canary_aborted", "canary_rolled_back"} <= set(shop.notices())
    assert 0 < deploy_s(shop) < DEPLOY_S
    assert 0 < rollback_s(shop) < ROLLBACK_S


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_bad_release_is_taken_back_and_a_good_one_gets_everything(tmp_path: Path) -> None:
    """With windows and looks as shipped: v2 is stopped by its errors after three breaches, v3 passes every stage.

    Only bake and soak are shortened. The rules know the budgets after half an hour.
    """
    async with running_shop(tmp_path) as shop:
        rehearsed(shop, 20, 20)
        known = 'count(slo:error_budget_remaining{service="shop"}) == 3'
        await until(lambda: shop.prometheus.query(known), 2400, "the rules know every budget")
        await until(lambda: guard(shop) == (0, ""), 120, "the guard says GO")
        await bad_then_good(shop)


async def bad_then_good(shop: Rollouts) -> None:
    """Roll out v2, which errs, then v3."""
    with engine(shop, "v2", "--speed", "100") as running:
        assert await running.ended(600) == 1, running.log.read_text()[-3000:]
    found = shop.rollout()
    assert found is not None
    assert found.state.why.startswith("gate errors:"), found.state.why
    assert found.state.gates["errors"].streak == 3
    check_taken_back(shop, "v2")
    assert shop.receiver is not None
    assert await shop.receiver.operate("unfreeze", service="shop", reason="mended") == 202
    await until(lambda: guard(shop) == (0, ""), 120, "the guard says GO again")
    with engine(shop, "v3", "--speed", "100") as running:
        assert await running.ended(1200) == 0, running.log.read_text()[-3000:]
    assert (shop.phase(), shop.weights()) == ("done", {"stable": 0, "canary": 100})
    assert [one for one in shop.steps() if one[0] == "Shifted"] == [("Shifted", "settle", stage) for stage in range(3)]
    assert 0 < deploy_s(shop) < DEPLOY_S
