"""Killed at every named step and started again: one flag, one rollback, notices once or marked, nothing lost."""

import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.steps import Step
from tests.acceptance.receiver.harness import FEATURE_FLAGS, Receiver, Site, body, peers, receiver
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.journals import exclusive
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.usefixtures("sharing")]

SETTLED_S = 30.0

# Steps that are passed more than once in the story are tried at each of their passages.
PASSAGES = {
    Step.WEBHOOK_READ: 3,
    Step.WEBHOOK_ANSWERING: 3,
    Step.JOURNAL_BEFORE_COMMIT: 10,
    Step.JOURNAL_COMMITTED: 10,
    Step.NOTICE_RUNNING: 4,
    Step.NOTICE_SENT: 4,
    Step.NOTICE_RECORDED: 4,
    Step.SWITCH_TEMPORARY_WRITTEN: 2,
    Step.SWITCH_FILE_RENAMED: 2,
    Step.SWITCH_DIRECTORY_SYNCED: 2,
    Step.SWITCH_RECORDED: 2,
}
# A start passes these where it migrates a journal: tests/unit/receiver/test_shapes.py kills there.
MIGRATION = {step for step in Step if step.value.startswith("migration.")}

AT_ONCE = 4
"""How many stories are told at the same time; each has a receiver and a directory of its own."""

PASSAGES_SHARED_MAX = 2
"""The same story with a shared journal differs in its transactions only: of each step, the first passages do."""


async def deliver(server: Receiver, bodies: list[bytes], acknowledged: set[str]) -> None:
    """Send as Alertmanager does, and remember what was acknowledged; the receiver may die meanwhile."""
    for data in bodies:
        try:
            if await server.post(data) == 200:
                acknowledged.add(hashlib.sha256(data).hexdigest())
        except aiohttp.ClientError:
            return


def final(site: Site) -> bool:
    """Whether every action is over."""
    states = site.rows("SELECT state FROM action")
    return bool(states) and all(state in {"SUCCEEDED", "SKIPPED", "CANCELLED", "DEAD"} for (state,) in states)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", [step for step in Step if step not in MIGRATION], ids=lambda step: step.value)
async def test_a_kill_at_every_step_does_no_harm(step: Step, tmp_path: Path) -> None:
    """The story is told twice with a SIGKILL in between, and ends as if nothing had happened."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(nth: int) -> None:
        async with free:
            await tell(tmp_path / str(nth), step, nth)

    async with asyncio.TaskGroup() as group:
        passages = PASSAGES.get(step, 1)
        if not exclusive():
            passages = min(passages, PASSAGES_SHARED_MAX)
        for nth in range(1, passages + 1):
            group.create_task(one(nth))


async def tell(root: Path, step: Step, nth: int) -> None:
    """One story with one kill."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        root.mkdir()
        secret = root / "slack-url"
        secret.write_text(slack.url)
        secret.chmod(0o600)
        channels = {"log": {"type": "log"}, "slack": {"type": "slack", "url_file": str(secret)}}
        site = Site(root=root, settings={"channels": channels})
        acknowledged: set[str] = set()
        await until_killed(site, step, nth, acknowledged)
        async with receiver(site) as server:
            await finish(server, acknowledged)
            await check(server, acknowledged, slack)
            assert await server.stop() == 0


async def until_killed(site: Site, step: Step, nth: int, acknowledged: set[str]) -> None:
    """Fire; where that does not reach the step, resolve as well."""
    async with receiver(site, step=step.value, nth=nth) as server:
        (site.root / "armed").touch()
        await deliver(server, peers(body("0.34.2", "firing")), acknowledged)
        await until(lambda: server.process.poll() is not None or final(site), SETTLED_S, "death or the end of it")
        if server.process.poll() is None:
            await deliver(server, peers(body("0.34.2", "resolved")), acknowledged)
        assert await server.died(SETTLED_S) == -9, f"{step} was never reached"


async def finish(server: Receiver, acknowledged: set[str]) -> None:
    """Alertmanager sends again what it has: firing, then (all being well) resolved."""
    site = server.site
    unfreezing = bool(site.rows("SELECT 1 FROM alert_seen WHERE status = 'resolved'"))
    if not unfreezing:
        await deliver(server, peers(body("0.34.2", "firing")), acknowledged)
        await until(lambda: final(site), SETTLED_S, "everything is over after the firing")
        reasons = json.loads(site.flag.read_text())["reasons"]
        assert [reason["alert"] for reason in reasons] == ["FailureRateHigh"]
        assert site.default_variant("provider_fallback") == "on"
    await deliver(server, peers(body("0.34.2", "resolved")), acknowledged)
    await until(
        lambda: not site.rows("SELECT 1 FROM episode WHERE state IN ('OPEN', 'RESOLVING')"), SETTLED_S, "closed"
    )
    await until(lambda: final(site) and not site.flag.exists(), SETTLED_S, "unfrozen")


async def check(server: Receiver, acknowledged: set[str], slack: SlackFake) -> None:
    """What must be true whenever it was killed."""
    site = server.site
    assert site.lines("rollbacks") == ["v2"]
    rollbacks = site.rows("SELECT state, result FROM action WHERE type = 'rollback'")
    assert [state for state, _ in rollbacks] == ["SUCCEEDED"]
    assert json.loads(rollbacks[0][1])["sentence"] == "verified as done"
    assert site.rows("SELECT count(*) FROM episode") == [(1,)]
    assert site.lines("freezer")[-1] == "off"
    assert site.feature_flags.read_text() == FEATURE_FLAGS
    switches = site.rows("SELECT type, state FROM action WHERE type LIKE 'switch%' ORDER BY type")
    assert switches == [("switch", "SUCCEEDED"), ("switch_back", "SUCCEEDED")]
    journaled = {sha256 for (sha256,) in site.rows("SELECT sha256 FROM delivery")}
    assert acknowledged - journaled == set()
    check_told(slack)
    state: dict[str, Any] = await server.get("/api/v1/state")
    assert [service["frozen"] for service in state["services"]] == [False]


def check_told(slack: SlackFake) -> None:
    """Every event was told: once, or once more (or only) with the mark of a repeat."""
    told = Counter(message["text"] for message in slack.received)
    expected = ("gateway is frozen", "gateway: rollback started", "gateway: rollback done", "gateway is unfrozen")
    times = {text: (told[text], told[f"(repeat) {text}"]) for text in expected}
    assert {text: pair for text, pair in times.items() if pair not in {(1, 0), (0, 1), (1, 1)}} == {}
    assert sum(told.values()) == sum(map(sum, times.values()))
