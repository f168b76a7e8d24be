"""Prometheus and HAProxy are killed in the middle of a rollout and started again: held, told once, never advanced."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from release.store.database import Database
from tests.acceptance.release.rollouts import Running, engine
from tests.acceptance.release.shop import Shop, haproxy, opened
from tests.acceptance.release.test_rollout import baking, current, held
from tests.tools import prometheus_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

STAGES = """\
    - {weight: 20%, bake: 3s}
    - {weight: 50%, bake: 3s}
    - {weight: 100%, soak: 1h}"""
LOOKS_WHILE_AWAY = 5
"""More looks, one a second, than the bake of a stage needs."""


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop whose first two stages end by themselves after three watched seconds."""
    async with opened(tmp_path, current(), stages=STAGES) as shop:
        shop.canary.renamed("v2")
        yield shop


def looks(shop: Shop) -> int:
    """How many looks of the newest rollout are stored."""
    with contextlib.closing(Database(shop.path, writes=False)) as database:
        (newest,) = database.rollouts(1)
        return len(database.looks(newest.id))


def pid_of_haproxy(shop: Shop) -> int:
    """The process that answers on the runtime socket."""
    lines = shop.haproxy("show info").splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("Pid:")))


async def stays_held(
    shop: Shop, running: Running, reason: str, stage: tuple[str, int], *, told: int, over: int
) -> None:
    """See the rollout held in its stage over so many looks, and people told so many times in all."""
    await until(lambda: held(shop) == {reason}, 20, f"the rollout is held ({reason})")
    await until(lambda: shop.notices().count("canary_held") == told, 20, "people hear of the hold")
    begun = looks(shop)
    await until(lambda: looks(shop) >= begun + over, 60, "the engine goes on looking")
    assert (held(shop), shop.stage()) == ({reason}, stage)
    assert shop.notices().count("canary_held") == told
    assert running.process.poll() is None


def shifts(shop: Shop) -> list[int]:
    """The stages whose weight was set, in order."""
    return [stage for event, _, stage in shop.steps() if event == "Shifted"]


async def test_killed_sources_hold_a_rollout_until_they_are_back(shop: Shop) -> None:
    """Prometheus back: the rollout goes on. HAProxy back, or reloaded: weight 0, until a person resumes."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(engine(shop, "v2"))
        await baking(shop)
        shop.prometheus.process.kill()
        await stays_held(shop, running, "source", ("bake", 0), told=1, over=LOOKS_WHILE_AWAY)
        root, port = shop.prometheus.directory, int(shop.prometheus.address.rpartition(":")[2])
        config = (root / "prometheus.yml").read_text()
        stack.enter_context(prometheus_server(current(), root, config, port=port))
        await until(lambda: shifts(shop) == [0, 1], 60, "the second stage begins")
        await baking(shop)
        os.kill(pid_of_haproxy(shop), signal.SIGKILL)
        await stays_held(shop, running, "source", ("bake", 1), told=2, over=LOOKS_WHILE_AWAY)
        stack.enter_context(haproxy(shop.site.root / "haproxy.cfg", shop.socket))
        await stays_held(shop, running, "weight", ("bake", 1), told=3, over=LOOKS_WHILE_AWAY)
        assert shop.weights()["canary"] == 0
        assert shop.command("resume").returncode == 0
        await until(lambda: shop.stage() == ("soak", 2), 60, "the last stage begins")
        assert shifts(shop) == [0, 1, 1, 2]
        old = pid_of_haproxy(shop)
        stack.enter_context(haproxy(shop.site.root / "haproxy.cfg", shop.socket, "-sf", str(old)))
        await until(lambda: pid_of_haproxy(shop) != old, 20, "the reloaded HAProxy answers")
        await stays_held(shop, running, "weight", ("soak", 2), told=4, over=1)
        assert shop.weights() == {"stable": 100, "canary": 0}
        assert shop.rollbacks() == []
