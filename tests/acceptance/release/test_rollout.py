"""Whole rollouts with a real HAProxy, Prometheus and receiver: good releases pass, bad releases are taken back."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from freezeline.cli import main
from release.canary.verdict import Verdict
from release.store.database import Database
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import SPEC, Shop, opened
from tests.tools import LABELS, Generation, generations, missing_is_an_error
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


TOLD = ("canary_aborted", "frozen", "rollback_started", "rollback_done", "canary_rolled_back", "unfrozen")
WINDOW_S = {"errors": 5.0, "p95": 5.0, "memory": 1.0}
SPACED_S = {"errors": 2.0, "p95": 2.0, "memory": 0.0}
"""Windows of 4 s and three breaches; a gauge has no window."""


def current() -> Generation:
    """The newest Prometheus tools. What differs between generations is tested with the sources."""
    for found in generations():
        if found.label == LABELS[-1]:
            return found
    if missing_is_an_error():
        pytest.fail("the Prometheus tools are not here (./dev test fetches them)")
    pytest.skip("the Prometheus tools are not here (./dev test fetches them)")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop that runs v1."""
    async with opened(tmp_path, current()) as shop:
        yield shop


def last_verdicts(shop: Shop, gate: str, window_s: float) -> list[tuple[float, Verdict]]:
    """When a gate said what in the newest rollout, in order, from the moment when its window is full."""
    database = Database(shop.path, writes=False)
    (newest,) = database.rollouts(1)
    begun = (newest.state.shifted_at or 0) + window_s
    looks = [(one.at, one.tick.measured) for one in database.looks(newest.id) if one.at >= begun]
    database.close()
    return [(at, found.verdict) for at, measured in looks for found in measured if found.gate == gate]


def breaches_apart(verdicts: list[tuple[float, Verdict]], spaced_s: float) -> int:
    """How many breaches of the last row lie far enough apart. A look may come a tenth of a second early."""
    at_pass = max((at for at, verdict in verdicts if verdict is Verdict.PASS), default=0.0)
    row = [at for at, verdict in verdicts if verdict is Verdict.BREACH and at > at_pass]
    count = 0
    for at in row:
        count += at >= row[0] + count * spaced_s - 0.1
    return count


def last_look(shop: Shop) -> float:
    """When the engine looked at the newest rollout last."""
    with contextlib.closing(Database(shop.path, writes=False)) as database:
        (newest,) = database.rollouts(1)
        return database.looks(newest.id)[-1].at


async def taken_back(shop: Shop, release: str, gate: str, breaches: int) -> None:
    """Roll a bad release out, and see that it is taken back after exactly so many breaches in a row."""
    with engine(shop, release) as running:
        assert await running.ended() == 1, running.log.read_text()[-3000:]
    found = shop.rollout()
    assert found is not None
    assert found.state.phase.value == "rolled_back", found.state.why
    assert found.state.why.startswith(f"gate {gate}:"), found.state.why
    assert found.state.gates[gate].streak == breaches
    verdicts = last_verdicts(shop, gate, WINDOW_S[gate])
    assert breaches_apart(verdicts, SPACED_S[gate]) == breaches
    assert breaches_apart(verdicts[:-1], SPACED_S[gate]) == breaches - 1
    assert shop.weights()["canary"] == 0
    assert shop.sessions() == 0
    assert shop.rollbacks()[-1] == (release, "SUCCEEDED")
    assert shop.site.lines("rollbacks").count(release) == 1
    assert shop.site.lines("current") == ["v1"]
    assert (shop.site.root / "flags" / "FREEZE.FLAG").exists()
    await until(lambda: "canary_rolled_back" in shop.notices(), 20, "people hear of the rollback")


async def unfreeze(shop: Shop) -> None:
    """An operator ends the freeze."""
    assert shop.receiver is not None
    assert await shop.receiver.operate("unfreeze", service="shop", reason="mended") == 202
    flag = shop.site.root / "flags" / "FREEZE.FLAG"
    await until(lambda: not flag.exists(), 20, "the flag is gone")


async def warn(shop: Shop) -> None:
    """Alertmanager sends a warning that freezes nothing, and that stays."""
    now = datetime.now(UTC).isoformat()
    labels = {"alertname": "ShopWarned", "service": "shop", "severity": "warning"}
    alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": now, "fingerprint": "5b0b"}
    assert shop.receiver is not None
    assert await shop.receiver.post(json.dumps({"version": "4", "alerts": [alert]}).encode()) == 200
    await until(lambda: "opened" in shop.notices(), 20, "the warning is open")


async def test_a_good_release_gets_all_traffic(shop: Shop) -> None:
    """10 %, 50 %, 100 %, each watched; a PASS needs not a single error. The same command changes nothing then."""
    shop.canary.renamed("v2")
    with engine(shop, "v2") as running:
        assert await running.ended() == 0, running.log.read_text()[-3000:]
    assert shop.weights() == {"stable": 0, "canary": 100}
    shifts = [one for one in shop.steps() if one[0] == "Shifted"]
    assert shifts == [("Shifted", "settle", 0), ("Shifted", "settle", 1), ("Shifted", "settle", 2)]
    assert set(shop.answers) == {"200"}
    assert shop.site.lines("deploys") == ["v2"]
    await until(lambda: "canary_done" in shop.notices(), 20, "people hear of the end")
    assert shop.notices() == ["canary_started", *["canary_shifted"] * 3, "canary_done"]
    assert shop.rollbacks() == []
    with engine(shop, "v2", "--stable", "v1") as running:
        assert await running.ended() == 0
    assert "canary.done_before" in running.log.read_text()
    assert shop.site.lines("deploys") == ["v2"]
    assert "v2 done" in shop.command("history").stdout


async def test_bad_releases_are_taken_back_one_after_the_other(shop: Shop) -> None:
    """Errors, then slowness, then memory, within the hour: each is rolled back, once, after its breaches in a row.

    A warning fires all the while. People hear of each freeze and rollback all the same.
    """
    await warn(shop)
    shop.canary.renamed("v2")
    shop.canary.fail_every = 4
    await taken_back(shop, "v2", "errors", 3)
    with engine(shop, "v3") as running:
        assert await running.ended() == 1
    refused = shop.rollout()
    assert refused is not None
    assert refused.state.phase.value == "refused"
    assert "frozen" in refused.state.why
    await unfreeze(shop)
    shop.canary.renamed("v3")
    shop.canary.delay_s = 0.4
    await taken_back(shop, "v3", "p95", 3)
    await unfreeze(shop)
    shop.canary.renamed("v4")
    shop.canary.memory = 0.95
    await taken_back(shop, "v4", "memory", 2)
    assert shop.rollbacks() == [("v2", "SUCCEEDED"), ("v3", "SUCCEEDED"), ("v4", "SUCCEEDED")]
    assert shop.site.lines("deploys") == ["v2", "v3", "v4"]
    told = Counter(shop.notices())
    assert {name: told[name] for name in TOLD} == {**dict.fromkeys(TOLD, 3), "unfrozen": 2}
    report = shop.command("report")
    assert report.returncode == 0, report.stderr
    assert "gate memory" in report.stdout


WATCHED = """\
    - {weight: 50%, bake: 1h}
    - {weight: 100%, soak: 1h}"""


async def baking(shop: Shop) -> None:
    """Wait until the canary is watched, with half of the traffic and no hold."""

    def bakes() -> bool:
        found = shop.rollout()
        return found is not None and found.state.phase.value == "bake" and not found.state.holds

    await until(bakes, 40, "the canary bakes")


def held(shop: Shop) -> set[str]:
    """Why the rollout is held."""
    found = shop.rollout()
    return set() if found is None else {hold.value for hold in found.state.holds}


async def test_trouble_holds_and_never_advances(tmp_path: Path) -> None:
    """A weight raised by hand, a freeze, a pause, a dead receiver, a reloaded HAProxy: held, told, never advanced."""
    async with opened(tmp_path, current(), stages=WATCHED) as shop:
        assert shop.receiver is not None
        shop.canary.renamed("v2")
        with engine(shop, "v2") as running:
            await baking(shop)
            shop.haproxy("set server shop/stable weight 10")
            await until(lambda: shop.weights()["canary"] == shop.weights()["stable"], 10, "the weight is lowered")
            await until(lambda: held(shop) == {"weight"}, 10, "the rollout is held")
            await until(lambda: "canary_held" in shop.notices(), 20, "people hear of the hold")
            assert shop.command("promote").returncode == 1
            assert shop.command("resume").returncode == 0
            await baking(shop)
            assert await shop.receiver.operate("freeze", service="shop", reason="drill") == 202
            await until(lambda: held(shop) == {"frozen"}, 10, "the freeze holds the rollout")
            gate = ["gate", str(shop.policy), "--prometheus", shop.prometheus.url, "--state", str(shop.site.state)]
            assert await asyncio.to_thread(main, gate) == 1
            await until(lambda: shop.notices().count("canary_held") == 2, 20, "people hear of the freeze's hold")
            await unfreeze(shop)
            await baking(shop)
            assert shop.command("pause", "--by", "ann").returncode == 0
            assert held(shop) == {"paused"}
            assert "held (paused): paused by ann" in shop.command("status").stdout
            assert shop.command("resume").returncode == 0
            shop.receiver.process.kill()
            await until(lambda: held(shop) == {"source"}, 10, "without a receiver the rollout is held")
            assert running.process.poll() is None
            shop.haproxy("set server shop/canary weight 0")
            await until(lambda: held(shop) == {"source", "weight"}, 10, "a lower weight is never raised")
            assert shop.weights()["canary"] == 0
            assert shop.rollout() is not None
            assert shop.stage() == ("bake", 0)


async def test_a_dead_engine_is_told_and_its_rollout_goes_on(tmp_path: Path) -> None:
    """The receiver pages within 3 × `every`; the same command goes on; an abort ends streams and answers the API."""
    every_s = 2
    spec = SPEC.replace("every: 1s", f"every: {every_s}s")
    async with opened(tmp_path, current(), stages=WATCHED, spec=spec) as shop:
        assert shop.receiver is not None
        shop.canary.renamed("v2")
        with engine(shop, "v2") as running:
            await baking(shop)
            running.process.kill()
            await running.ended()
        left_s = last_look(shop) + 3 * every_s - time.time()
        await until(lambda: "canary_silent" in shop.notices(), left_s, "the receiver pages within three intervals")
        metrics = await shop.receiver.get("/metrics")
        assert 'freezeline_canary_weight{service="shop"} 0.5' in metrics
        assert 'freezeline_canary_state{service="shop",state="bake"} 1.0' in metrics
        (shown,) = (await shop.receiver.get("/api/v1/state"))["rollouts"]
        assert (shown["phase"], shown["traffic"]["configured_percentage"]) == ("bake", 50)
        with engine(shop, "v2") as running:
            await baking(shop)
            assert shop.command("abort", "--reason", "drill").returncode == 0
            assert await running.ended() == 1
        assert shop.phase() == "rolled_back"
        assert shop.weights()["canary"] == 0
        assert shop.rollbacks() == [("v2", "SUCCEEDED")]
        assert [one for one in shop.steps() if one[0] == "Shifted"] == [("Shifted", "settle", 0)]
        rollout = shop.rollout()
        assert rollout is not None
        assert rollout.state.weight == Decimal(0)
