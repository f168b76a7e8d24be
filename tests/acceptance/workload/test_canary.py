"""System E guards the real assistant: its canary takes back a release that is worse without a single error."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.workload.assistant.releases import RELEASES
from tests.acceptance.release.rollouts import Rollouts, engine
from tests.acceptance.release.systems import System, free, opened
from tests.tools import Generation
from tests.waiting import until
from tests.workload import Service, assistant, redis_server

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("workload"), pytest.mark.timeout(180)]

BODY = '{"user_id": 5}'
SHIPPED = System(
    file="assistant-phase4.yaml",
    service="assistant",
    servers=("control", "treatment"),
    channel="slack-assistant",
    per_second=40,
    request=f"POST /api/v2/recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
)
SHORT = System(
    file=SHIPPED.file,
    service=SHIPPED.service,
    servers=SHIPPED.servers,
    channel=SHIPPED.channel,
    per_second=200,
    request=SHIPPED.request,
    times={
        "interval: 30s, scrape: 15s": "interval: 1s, scrape: 1s",
        "every: 30s": "every: 1s",
        "over: 2m": "over: 6s",
        "min_samples: 50": "min_samples: 10",  # of windows that are twenty times shorter
        "bake: 90m": "bake: 5s",
        "hold_for: 15m": "hold_for: 90s",
    },
)
CAUGHT_BY = {
    "errors": "gate errors: ",
    "flaky-first-minute": "gate errors: ",
    "slow": "gate p95: ",
    "leak": "gate memory: ",
    "busy": "gate cpu: ",
    "worse-model": "gate top2: ",
    "no-metrics": "no verdict for 90 s of ",
}
"""Release → how the reason begins for which the release is taken back."""

MEMORY_MIB = 160
PROCESSORS = 0.2
"""A small machine: a release that leaks or is busy comes near these limits within seconds, whoever else is busy."""


@contextlib.asynccontextmanager
async def rollout_of(
    release: str, system: System, generation: Generation, root: Path, *, scrape: str, replayed: str
) -> AsyncIterator[tuple[Rollouts, list[Service]]]:
    """The good release as control and `release` as treatment, behind HAProxy and under load."""
    ports = free()
    common = ["--replay-per-second", replayed]
    common += ["--memory-limit-mib", str(MEMORY_MIB), "--processor-limit", str(PROCESSORS)]
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"track": track}}
        for track, port in (("control", ports.stable), ("treatment", ports.canary))
    ]
    scrapes = {
        "global": {"scrape_interval": scrape, "scrape_timeout": "1s", "evaluation_interval": scrape},
        "scrape_configs": [{"job_name": "assistant", "static_configs": targets}],
    }
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(root))
        tracks = [
            stack.enter_context(assistant(root, redis, release=name, options=[*common, "--port", str(port)]))
            for name, port in (("good", ports.stable), (release, ports.canary))
        ]
        async with opened(system, root, generation, ports, scrapes=scrapes, scripts={}) as service:
            yield service, tracks


def failed(tracks: list[Service]) -> float:
    """How many requests the tracks have failed."""
    counts = [
        value
        for track in tracks
        for name, value in track.metrics().items()
        if name.startswith("http_request_total") and 'code="5' in name
    ]
    assert len(counts) >= 2
    return sum(counts)


async def taken_back(
    release: str, system: System, generation: Generation, root: Path, *, scrape: str, replayed: str, deadline_s: float
) -> str:
    """Roll `release` out until the engine takes the release back, and give the reason."""
    async with rollout_of(release, system, generation, root, scrape=scrape, replayed=replayed) as (service, tracks):
        with engine(service, "v2") as running:
            assert await running.ended(deadline_s) == 1, running.log.read_text()[-3000:]
        found = service.rollout()
        assert found is not None
        assert (found.state.phase.value, found.state.stage) == ("rolled_back", 0)
        assert (service.weights()["treatment"], service.rollbacks()) == (0, [("v2", "SUCCEEDED")])
        if release == "worse-model":
            assert failed(tracks) == 0
            # The abort closes connections of the treatment; no answer is an error.
            assert set(service.answers) <= {"200", "closed", "refused"}, service.answers
        return found.state.why


@pytest.mark.old_in_soak
async def test_a_worse_model_is_taken_back_without_an_error(generation: Generation, tmp_path: Path) -> None:
    """Only the accuracy of replayed test users tells."""
    why = await taken_back("worse-model", SHORT, generation, tmp_path, scrape="1s", replayed="100", deadline_s=90)
    assert why.startswith("gate top2: "), why


@pytest.mark.soak
async def test_a_good_release_passes_the_first_stage(generation: Generation, tmp_path: Path) -> None:
    """The same gates, the same load: nothing is found, and a person is asked."""
    async with rollout_of("good-2", SHORT, generation, tmp_path, scrape="1s", replayed="100") as (service, tracks):
        with engine(service, "v2"):

            def waits() -> bool:
                found = service.rollout()
                assert found is None or found.ended_at is None, found
                return found is not None and found.state.answers.approval_asked_at is not None

            await until(waits, 90, "a person is asked")
            assert (service.phase(), service.weights()["treatment"]) == ("evaluate", 5)
            assert failed(tracks) == 0


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("release", CAUGHT_BY)
async def test_each_faulty_release_is_taken_back_by_its_gate(
    release: str, generation: Generation, tmp_path: Path
) -> None:
    """And by no other one."""
    assert set(CAUGHT_BY) | {"good"} == set(RELEASES)
    why = await taken_back(release, SHORT, generation, tmp_path, scrape="1s", replayed="100", deadline_s=180)
    assert why.startswith(CAUGHT_BY[release]), why


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_worse_model_is_taken_back_with_the_shipped_times(generation: Generation, tmp_path: Path) -> None:
    """Windows of two minutes and three looks in a row: within six minutes of the shift."""
    why = await taken_back("worse-model", SHIPPED, generation, tmp_path, scrape="15s", replayed="10", deadline_s=420)
    assert why.startswith("gate top2: "), why
