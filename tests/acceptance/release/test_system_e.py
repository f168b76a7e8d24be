"""System E from its shipped spec: its API, 5 % → 10 % → an A/B test at 50 % → all, and what its A/B test says."""

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.release.assistant import Track
from tests.acceptance.release.rollouts import Rollouts, engine
from tests.acceptance.release.served import served
from tests.acceptance.release.systems import System, free, opened, rollback_s, split
from tests.acceptance.release.test_rollout import current
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(240)]

E = System(
    file="assistant-phase4.yaml",
    service="assistant",
    servers=("control", "treatment"),
    channel="slack-assistant",
    per_second=40,  # with batches of 25: the 1000 chats a second of systems.md
)
SLOW = 0.03
FAILING = 0.006
SPEED = "6000"  # a week takes 101 s, the fortnight of the A/B test 202 s
ROLLBACK_S = 300  # the rollback command's timeout
FIGURES_S = 150  # a busy machine scrapes and answers late


@contextlib.asynccontextmanager
async def assistant(root: Path, *, failing: float = FAILING, scraped_every: str = "15s") -> AsyncIterator[Rollouts]:
    """Both tracks behind HAProxy; the treatment runs v2, and fails so many of its chats."""
    ports = free()
    control = Track("control", ports.stable, failing=FAILING, slow=SLOW)
    treatment = Track("treatment", ports.canary, failing=failing, slow=SLOW)
    addresses = [f"127.0.0.1:{port}" for port in (ports.stable, ports.canary)]
    scrapes = {
        "global": {"scrape_interval": scraped_every, "scrape_timeout": "5s"},
        "scrape_configs": [{"job_name": "assistant", "static_configs": [{"targets": addresses}]}],
    }
    with served(control), served(treatment), _ended(root):
        async with opened(E, root, current(), ports, scrapes=scrapes, scripts={}) as found:
            yield found


@contextlib.contextmanager
def _ended(root: Path) -> Iterator[None]:
    """The receiver starts engines that outlive the receiver: where a test fails, they end here."""
    try:
        yield
    finally:
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and f"{root}/state/canary" in (process / "cmdline").read_text():
                    os.kill(int(process.name), signal.SIGKILL)


async def api(service: Rollouts, name: str, body: Mapping[str, Any], role: str = "operate") -> tuple[int, Any]:
    """Status and answer of one request to the API."""
    assert service.receiver is not None
    headers = {"Authorization": f"Bearer {service.site.token(role)}"}
    url = f"{service.receiver.url}/api/v2/canary/{name}"
    async with service.receiver.http.post(url, json=dict(body), headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def test_people_begin_watch_and_end_a_rollout_by_the_api(tmp_path: Path) -> None:
    """5 % of the traffic at once, measured; no next stage before its time; a rollback within its limit."""
    async with assistant(tmp_path, scraped_every="5s") as service:
        assert (await api(service, "enable", {"traffic_percentage": 5}, role="read"))[0] == 401
        assert (await api(service, "enable", {"traffic_percentage": 20}))[0] == 422
        assert (await api(service, "enable", {"traffic_percentage": 10}))[0] == 409
        status, begun = await api(service, "enable", {"traffic_percentage": 5})
        assert (status, begun["release"]) == (202, "v2")
        await until(lambda: service.phase() == "settle", 60, "v2 gets traffic")
        await until(lambda: scraped(service), FIGURES_S, "Prometheus knows both tracks", poll_s=1)
        assert abs(split(service.front, 10_000)["treatment"] - 500) <= 100
        await until(lambda: service.weights() == {"control": 95, "treatment": 5}, 10, "the weights are set")
        assert (await api(service, "enable", {"traffic_percentage": 10}))[0] == 409
        status, shown = await api(service, "metrics", {}, role="read")
        assert (status, shown["phase"], shown["stage"]) == (200, "settle", 1)
        assert shown["traffic"]["configured_percentage"] == 5
        await until(lambda: figures(service), FIGURES_S, "Prometheus has figures of both tracks", poll_s=1)
        assert (await api(service, "rollback", {"reason": "drill"}))[0] == 202
        await until(lambda: service.phase() == "rolled_back", ROLLBACK_S, "v2 is taken back")
        assert 0 < rollback_s(service) < ROLLBACK_S
        assert (service.weights()["treatment"], service.sessions()) == (0, 0)
        assert service.rollbacks() == [("v2", "SUCCEEDED")]
        await until(lambda: "canary_rolled_back" in service.notices(), 20, "people hear of the rollback")


async def scraped(service: Rollouts) -> bool:
    """Whether Prometheus has looked at both tracks: what a track counted before its first look is in no rate."""
    _, shown = await api(service, "metrics", {}, role="read")
    return None not in {track["gates"]["memory"] for track in shown["tracks"].values()}


async def figures(service: Rollouts) -> bool:
    """Whether the API tells a share near 5 % and every figure of both tracks, as their metrics have them."""
    _, shown = await api(service, "metrics", {}, role="read")
    treatment, control = shown["tracks"]["canary"], shown["tracks"]["stable"]
    if None in {treatment["requests_percentage"], *treatment["gates"].values(), *control["gates"].values()}:
        return False
    if abs(treatment["requests_percentage"] - 5) > 2:  # the window still reaches back to the time without v2
        return False
    assert (treatment["name"], control["name"]) == ("treatment", "control")
    assert control["gates"].keys() == treatment["gates"].keys() == {"errors", "p95", "memory", "cpu", "top2"}
    return bool(0 <= control["gates"]["errors"] < 0.05)


async def evaluated(service: Rollouts, stage: int, deadline_s: float) -> None:
    """Wait until a stage waits for its approval."""

    def waits() -> bool:
        found = service.rollout()
        if found is None:
            return False
        assert found.ended_at is None, found.state.why
        asked = found.state.answers.approval_asked_at is not None
        return found.state.stage == stage and found.state.phase.value == "evaluate" and asked

    await until(waits, deadline_s, f"stage {stage + 1} waits for a person")


def ab_answer(service: Rollouts) -> str:
    """What the A/B test of the present stage has said."""
    found = service.rollout()
    return "" if found is None else found.state.answers.ab


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_good_release_gets_everything(tmp_path: Path) -> None:
    """5 %, an approval, 10 % with daily checks, an A/B test at 50 % that is judged for real, an approval, all."""
    async with assistant(tmp_path) as service:
        with engine(service, "v2", "--speed", SPEED) as running:
            await evaluated(service, 0, 400)
            assert service.weights() == {"control": 95, "treatment": 5}
            assert (await api(service, "enable", {"traffic_percentage": 10}))[0] == 202
            await until(lambda: service.stage() == ("settle", 1), 120, "10 %")
            await evaluated(service, 2, 1500)
            weights = service.weights()
            assert weights["control"] == weights["treatment"] > 0
            await until(lambda: ab_answer(service) == "not_worse", 120, "the A/B test has nothing against v2")
            assert (await api(service, "enable", {"traffic_percentage": 100}))[0] == 202
            assert await running.ended(600) == 0, running.log.read_text()[-3000:]
        weights = service.weights()
        assert (service.phase(), weights["control"], weights["treatment"] > 0) == ("done", 0, True)
        assert [one[0] for one in service.steps()].count("Shifted") == 4
        assert "GateAnswered" in [one[0] for one in service.steps()], "the daily checks were asked"
        assert service.rollbacks() == []


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_release_that_only_the_ab_test_finds_worse(tmp_path: Path) -> None:
    """Half as many errors again, and still below the gate's 1 %: the A/B test takes the release back."""
    async with assistant(tmp_path, failing=1.5 * FAILING) as service:
        with engine(service, "v2", "--speed", SPEED) as running:
            await evaluated(service, 0, 400)
            assert service.command("approve").returncode == 0
            assert await running.ended(1500) == 1
        found = service.rollout()
        assert found is not None
        assert (found.state.phase.value, found.state.stage) == ("rolled_back", 2)
        assert found.state.why.startswith("the A/B test found the canary worse: errors:")
        assert (service.weights()["treatment"], service.sessions()) == (0, 0)
        assert service.rollbacks() == [("v2", "SUCCEEDED")]
