"""Prometheus, the receiver and HAProxy are killed in the middle of a rollout: held, told once, never advanced."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from release.store.database import Database
from tests.acceptance.receiver.harness import receiver
from tests.acceptance.release.killed import QUICK
from tests.acceptance.release.rollouts import Running, engine
from tests.acceptance.release.shop import Shop, haproxy, kill, opened
from tests.acceptance.release.test_rollout import baking, current, held
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.tools import prometheus_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

STAGES = """\
    - {weight: 20%, bake: 2s}
    - {weight: 50%, bake: 2s}
    - {weight: 100%, soak: 1h}"""
LOOKS_WHILE_AWAY = 4
"""More looks, one a second, than the bake of a stage needs."""


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop whose first two stages end by themselves after two watched seconds."""
    async with opened(tmp_path, current(), stages=STAGES, spec=QUICK) as shop:
        shop.canary.renamed("v2")
        yield shop


@pytest.fixture
async def slack(shop: Shop) -> AsyncIterator[SlackFake]:
    """The engine's fallback channel: `--config` of the engine names a channel that the receiver does not know."""
    async with running(SlackFake(), SLACK_PATH) as fake:
        assert isinstance(fake, SlackFake)
        (shop.site.root / "slack-url").write_text(fake.url)
        (shop.site.root / "engine.yaml").write_text(
            f'channels: {{pager: {{type: slack, url_file: "{shop.site.root}/slack-url", timeout_s: 2}}}}\n'
        )
        yield fake


def pages(slack: SlackFake) -> int:
    """How often the channel was paged. An engine that is killed before it notes a page is followed by a repeat."""
    return sum(not message["text"].startswith("(repeat) ") for message in slack.received)


def looks(shop: Shop) -> int:
    """How many looks of the newest rollout are stored."""
    with contextlib.closing(Database(shop.path, writes=False)) as database:
        (newest,) = database.rollouts(1)
        return len(database.looks(newest.id))


def pid_of_haproxy(shop: Shop) -> int:
    """The process that answers on the runtime socket."""
    lines = shop.haproxy("show info").splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("Pid:")))


async def stays_held(shop: Shop, running: Running, reason: str, stage: int, *, over: int) -> None:
    """See the rollout held in its stage over so many looks."""
    await until(lambda: held(shop) == {reason}, 20, f"the rollout is held ({reason})")
    begun = looks(shop)
    await until(lambda: looks(shop) >= begun + over, 60, "the engine goes on looking")
    assert (held(shop), shop.stage()[1]) == ({reason}, stage)
    assert running.process.poll() is None


async def told(shop: Shop, times: int) -> None:
    """People have heard of so many holds in all."""
    await until(lambda: shop.notices().count("canary_held") >= times, 20, "people hear of the hold")
    assert shop.notices().count("canary_held") == times


def shifts(shop: Shop) -> list[int]:
    """The stages whose weight was set, in order."""
    return [stage for event, _, stage in shop.steps() if event == "Shifted"]


async def test_killed_sources_hold_a_rollout_until_they_are_back(shop: Shop, slack: SlackFake) -> None:
    """Prometheus or the receiver back: the rollout goes on. HAProxy back, or reloaded: weight 0, until a resume.

    Without the receiver, the engine pages the fallback channel once, also where the engine is killed meanwhile.
    """
    pager = ("--config", str(shop.site.root / "engine.yaml"), "--fallback", "pager")
    async with contextlib.AsyncExitStack() as stack:
        first = stack.enter_context(engine(shop, "v2", *pager))
        await baking(shop)
        shop.prometheus.process.kill()
        await stays_held(shop, first, "source", 0, over=LOOKS_WHILE_AWAY)
        await told(shop, 1)
        root, port = shop.prometheus.directory, int(shop.prometheus.address.rpartition(":")[2])
        config = (root / "prometheus.yml").read_text()
        stack.enter_context(prometheus_server(current(), root, config, port=port))
        await until(lambda: shifts(shop) == [0, 1], 60, "the second stage begins")
        assert slack.received == []

        assert shop.receiver is not None
        shop.receiver.process.kill()
        await until(lambda: pages(slack) == 1, 20, "the fallback channel hears of the hold")
        kill(first)
        second = stack.enter_context(engine(shop, "v2", *pager))
        await stays_held(shop, second, "source", 1, over=LOOKS_WHILE_AWAY)
        assert pages(slack) == 1
        shop.receiver = await stack.enter_async_context(receiver(shop.site))
        await told(shop, 2)
        await until(lambda: shifts(shop) == [0, 1, 2], 60, "the last stage begins")
        assert pages(slack) == 1
        assert len(slack.received) <= 2

        stage = shop.stage()[1]
        os.kill(pid_of_haproxy(shop), signal.SIGKILL)
        await until(lambda: held(shop) == {"source"}, 20, "the rollout is held without the proxy")
        await told(shop, 3)
        stack.enter_context(haproxy(shop.site.root / "haproxy.cfg", shop.socket))
        await until(lambda: held(shop) == {"weight"}, 20, "the rollout is held with the file's weight")
        await told(shop, 4)
        assert (shop.weights()["canary"], shop.stage()[1]) == (0, stage)
        assert shop.command("resume").returncode == 0
        await until(lambda: shop.weights()["canary"] > 0 and not held(shop), 20, "the last stage begins again")
        old = pid_of_haproxy(shop)
        stack.enter_context(haproxy(shop.site.root / "haproxy.cfg", shop.socket, "-sf", str(old)))
        await until(lambda: pid_of_haproxy(shop) != old, 20, "the reloaded HAProxy answers")
        await until(lambda: held(shop) == {"weight"}, 20, "the rollout is held with the file's weight")
        await told(shop, 5)
        assert shop.weights() == {"stable": 100, "canary": 0}
        assert shop.stage()[1] == stage
        assert shop.rollbacks() == []
