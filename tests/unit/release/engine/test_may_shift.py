"""Whether a weight may be raised: the flag, the receiver and Prometheus are asked just before each shift."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from freezeline.problems import Problems
from receiver.sources.prometheus import Prometheus
from release.engine.outside import Outside
from release.engine.paging import Paging
from release.engine.readings import Tracks
from release.engine.receiver import Receiver
from release.policy.read import ReleasePolicy, read
from release.store.database import Database
from release.traffic.of_policy import of_policy
from tests.tools import ROOT
from tests.unit.release.gate.worlds import policy

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ONE = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1.0, "1"]}]}}


def state(*, frozen: bool) -> dict[str, Any]:
    """The receiver's state."""
    return {"services": [{"service": "gateway", "frozen": frozen, "reasons": [{"reason": "by hand"}]}]}


@asynccontextmanager
async def outside(root: Path, answers: Mapping[str, Any]) -> AsyncIterator[Outside]:
    """Prometheus and the receiver behind one address; a path without an answer is 503."""

    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path)
        return web.json_response(found, status=503 if found is None else 200)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    shipped = read(ROOT / "rules" / "policy" / "day0-launch.policy.json", Problems())
    assert shipped is not None
    assert shipped.canary is not None
    database = Database(root / "canary.db")
    try:
        async with aiohttp.ClientSession() as http:
            yield Outside(
                policy=ReleasePolicy(policy=policy(root / "FREEZE.FLAG"), gate=None, canary=shipped.canary),
                canary=shipped.canary,
                traffic=of_policy(shipped.canary, {}),
                prometheus=Prometheus(http, url, dict),
                receiver=Receiver(http=http, locate=lambda: (url, "token")),
                tracks=Tracks(canary="v2", stable="v1"),
                environment={},
                command_environment={},
                directory=root,
                rehearsals=None,
                host="deploy-1",
                clock=NOW.timestamp,
                paging=Paging(service="gateway", database=database, clock=NOW.timestamp),
            )
    finally:
        database.close()
        await runner.cleanup()


PROMETHEUS, RECEIVER = "/api/v1/query", "/api/v1/state"
NONE, BEAT = frozenset[str](), frozenset({"FREEZE.HEARTBEAT"})
BOTH = BEAT | {"FREEZE.FLAG"}
FREE, FROZEN = state(frozen=False), state(frozen=True)


@pytest.mark.parametrize(
    "answers,files,expected,why",
    [
        ({PROMETHEUS: ONE, RECEIVER: FREE}, BEAT, False, ""),
        ({PROMETHEUS: ONE, RECEIVER: FREE}, BOTH, True, "exists"),
        ({PROMETHEUS: ONE, RECEIVER: FROZEN}, BEAT, True, "the receiver says frozen: by hand"),
        ({RECEIVER: FROZEN}, BEAT, True, "the receiver says frozen"),  # a freeze wins over a doubt
        ({PROMETHEUS: ONE}, BOTH, True, "exists"),
        ({PROMETHEUS: ONE}, BEAT, None, "the receiver answered 503"),
        ({PROMETHEUS: ONE, RECEIVER: {"services": []}}, BEAT, None, "no policy of gateway"),
        ({PROMETHEUS: ONE, RECEIVER: FREE}, NONE, None, "no heartbeat"),
        ({RECEIVER: FREE}, BEAT, None, "503"),  # Prometheus could judge nothing of what follows
        ({PROMETHEUS: {"status": "error"}, RECEIVER: FREE}, BEAT, None, "rometheus"),
    ],
)
async def test_a_weight_is_raised_only_where_everybody_answers(
    tmp_path: Path,
    answers: Mapping[str, Any],
    files: frozenset[str],
    expected: bool | None,  # noqa: FBT001 - three values
    why: str,
) -> None:
    """False alone lets a weight rise. True is a freeze, whoever else is away; None is any doubt."""
    beat = {"format": "freezeline.heartbeat/1", "at": NOW.isoformat(), "policies": {"failure-budget": "sha256:00"}}
    for name in files:
        (tmp_path / name).write_text(json.dumps(beat))
    async with outside(tmp_path, answers) as asked:
        found, said = await asked.may_shift()
    assert found is expected
    assert why in said
