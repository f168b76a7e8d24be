"""`freezeline drill canary`: the stand-in's rollouts, and a real one behind HAProxy that is taken back."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.receiver.harness import Site
from tests.acceptance.release.shop import Shop, opened
from tests.tools import ROOT, Generation, program

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(400)]


def drill(policy: Path, state: Path, generation: Generation, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `freezeline drill canary`, with every tool on PATH."""
    folders = (program("haproxy").parent, generation.prometheus.parent, generation.alertmanager.parent)
    env = {**os.environ, "PATH": os.pathsep.join((*map(str, folders), os.environ["PATH"]))}
    argv = [sys.executable, "-m", "freezeline", "drill", "canary", str(policy), "--state", str(state), "--json"]
    return subprocess.run(
        [*argv, *options], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=env
    )


def test_the_stand_in(current: Generation, tmp_path: Path) -> None:
    """A good release and a bad one, both times within the aims of system B, and nothing real touched."""
    site = Site(root=tmp_path)
    done = drill(site.root / "policy" / "gateway.policy.json", site.state, current)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert (line["kind"], line["ok"], line["runs"], line["succeeded"]) == ("canary", True, 2, 2)
    assert 0 < line["deploy_s"] < 300
    assert 0 < line["rollback_s"] < 600
    assert 0 < line["mttr_s"] < 60
    assert (site.lines("rollbacks"), site.flag.exists()) == ([], False)


async def test_a_real_rollout(current: Generation, tmp_path: Path) -> None:
    """The release gets its first share, is taken back, and both times are in the history."""
    async with opened(tmp_path, current) as shop:
        done = await asyncio.to_thread(really, shop, current)
        assert done.returncode == 0, done.stderr
        line = json.loads(done.stdout)
        assert (line["ok"], list(line["legs"])) == (True, ["release gets traffic", "release is taken back"])
        assert line["rollback_s"] > 0
        assert (shop.phase(), shop.weights()) == ("rolled_back", {"stable": 100, "canary": 0})


def really(shop: Shop, generation: Generation) -> subprocess.CompletedProcess[str]:
    """Roll v2 out for real, and take it back."""
    options = ("--really", "--candidate", "v2", "--release", "v1", "--prometheus", shop.prometheus.url)
    return drill(shop.policy, shop.site.state, generation, *options)
