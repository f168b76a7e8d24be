"""Replays test users without end: each is ranked ten films, and the metrics count whether the right one is on top."""

import asyncio
import time

from examples.workload.assistant.ensemble import Ensemble
from examples.workload.assistant.metrics import Metrics
from examples.workload.assistant.quality import hit, questions


async def replay(served: Ensemble, good: Ensemble, metrics: Metrics, *, per_second: float) -> None:
    """Serve test users with the released model until cancelled. Who the test users are does not depend on the model."""
    rounds = 0
    due = time.monotonic()
    while True:
        for question in questions(good, seed=rounds):
            due = max(due + 1 / per_second, time.monotonic() - 1)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            metrics.served.inc()
            if hit(question, served.scores(question.user).total):
                metrics.top2_hits.inc()
        rounds += 1
