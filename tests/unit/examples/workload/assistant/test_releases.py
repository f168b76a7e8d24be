"""Each release is faulty as its name says, and in no other way."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Struct

from examples.workload.assistant.app import PATHS, RECOMMENDATIONS, Assistant
from examples.workload.assistant.ensemble import Ensemble, mixed_up, train
from examples.workload.assistant.metrics import Metrics
from examples.workload.assistant.ratings import Ratings, made
from examples.workload.assistant.releases import MEBIBYTE, RELEASES, release
from examples.workload.assistant.replay import replay
from examples.workload.assistant.sessions import Sessions


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """The made set."""
    return made(seed=7)


@pytest.fixture(scope="module")
def model(ratings: Ratings) -> Ensemble:
    """The trained engine."""
    return train(ratings)


class Served(Struct, frozen=True, kw_only=True):
    """One release in this process; recommendations need no Redis."""

    client: TestClient[Any, Any]
    metrics: Metrics

    async def failures(self, requests: int) -> int:
        """How many of so many requests fail."""
        codes = []
        for _ in range(requests):
            async with self.client.post(RECOMMENDATIONS, json={"user_id": 1}) as answer:
                codes.append(answer.status)
        assert set(codes) <= {200, 500}
        return codes.count(500)


@contextlib.asynccontextmanager
async def served(name: str, ratings: Ratings, model: Ensemble) -> AsyncIterator[Served]:
    """A release from start to end."""
    metrics = Metrics(PATHS, memory_limit_bytes=4096 * MEBIBYTE)
    sessions = Sessions("redis://127.0.0.1:1/0")
    assistant = Assistant(ratings=ratings, model=model, sessions=sessions, metrics=metrics, release=release(name))
    async with TestClient(TestServer(assistant.app())) as client:
        yield Served(client=client, metrics=metrics)
    await assistant.close()


@pytest.mark.parametrize(
    "name,failed",
    [("good", 0), ("good-2", 0), ("errors", 2), ("flaky-first-minute", 20), ("leak", 0), ("no-metrics", 0)],
)
async def test_failures_among_forty_requests(name: str, failed: int, ratings: Ratings, model: Ensemble) -> None:
    """The share that the table of releases says."""
    async with served(name, ratings, model) as found:
        assert await found.failures(40) == failed
        assert found.metrics.error_rate() == pytest.approx(100 * failed / 40)


async def test_a_slow_release_answers_well_but_late(ratings: Ratings, model: Ensemble) -> None:
    """Later than the 500 ms that the canary allows."""
    async with served("slow", ratings, model) as found:
        begun = asyncio.get_running_loop().time()
        assert await found.failures(1) == 0
        assert asyncio.get_running_loop().time() - begun > 0.5


async def test_a_leaking_release_keeps_memory(ratings: Ratings, model: Ensemble) -> None:
    """Half a megabyte for each request; Python counts it, because the process may use freed pages again."""
    async with served("leak", ratings, model) as found:
        tracemalloc.start()
        try:
            await found.failures(100)
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept_bytes > 40 * MEBIBYTE


async def test_a_release_without_metrics_works(ratings: Ratings, model: Ensemble) -> None:
    """Only nobody can tell."""
    for name, status in (("no-metrics", 404), ("good", 200)):
        async with served(name, ratings, model) as found, found.client.get("/metrics") as answer:
            assert answer.status == status


async def test_a_worse_model_shows_in_the_replayed_users_alone(ratings: Ratings, model: Ensemble) -> None:
    """The good model hits more than twice as often."""
    shares = []
    for served_model in (model, mixed_up(model)):
        metrics = Metrics(PATHS, memory_limit_bytes=MEBIBYTE)
        task = asyncio.create_task(replay(served_model, model, metrics, per_second=20_000))
        while count(metrics, "recommendation_served_total") < 500:
            await asyncio.sleep(0)
        task.cancel()
        shares.append(count(metrics, "recommendation_top2_hit_total") / count(metrics, "recommendation_served_total"))
    assert shares[0] > 0.55
    assert shares[1] < 0.3


def count(metrics: Metrics, name: str) -> float:
    """A counter's value."""
    value = metrics.registry.get_sample_value(name)
    assert value is not None
    return value


def test_an_unknown_release_is_refused() -> None:
    """The message lists the releases."""
    with pytest.raises(ValueError, match="there is no release best; use good, errors, slow"):
        release("best")
    assert RELEASES["busy"].burns_cpu
    assert release("good-2").fails_every == 0
