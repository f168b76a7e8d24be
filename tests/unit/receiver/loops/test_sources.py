"""Release conditions: anything but a clear yes is a no."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.loops.conditions import Conditions, Judgement, judge
from receiver.policy.model import Condition
from receiver.sources.alertmanager import Alertmanager
from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus
from tests.unit.receiver.builders import NOW

FRESH = [str(NOW.timestamp() - 60)]


def condition(op: str = ">=", value: str = "0.10") -> Condition:
    """A budget condition."""
    return Condition(id="budget", query="q", op=op, value=Decimal(value), held_for_s=0, max_age_s=600)


@pytest.mark.parametrize(
    "values,times,expected",
    [
        (["0.2"], FRESH, Judgement(true=True, why="")),
        (["0.1"], FRESH, Judgement(true=True, why="")),
        (["0.0999999999999999999"], FRESH, Judgement(true=False, why="0.09999999999999999… is not >= 0.10")),
        ([], [], Judgement(true=False, why="no data")),
        (["NaN"], FRESH, Judgement(true=False, why="NaN is not >= 0.10")),
        (["+Inf"], FRESH, Judgement(true=True, why="")),
        (["-Inf"], FRESH, Judgement(true=False, why="-Infinity is not >= 0.10")),
        (["0.2", "0.05"], FRESH * 2, Judgement(true=False, why="0.05 is not >= 0.10")),
        (["0.2"], [str(NOW.timestamp() - 601)], Judgement(true=False, why="older than 600 s")),
        (["0.2", "0.2"], [*FRESH, str(NOW.timestamp() - 601)], Judgement(true=False, why="older than 600 s")),
        (["0.2"], [], Judgement(true=False, why="a sample's time is no number")),
        (["0.2"], ["NaN"], Judgement(true=False, why="a sample's time is no number")),
        (["0.2"], ["Inf"], Judgement(true=False, why="a sample's time is no number")),
        (["0.2", "0.2"], [*FRESH, "NaN"], Judgement(true=False, why="a sample's time is no number")),
        (["0.2"], [str(NOW.timestamp() + 3600)], Judgement(true=False, why="a sample is from the future")),
    ],
)
def test_only_a_clear_yes_counts(values: list[str], times: list[str], expected: Judgement) -> None:
    """Empty, NaN, old, or one of several not true: not unfrozen."""
    assert judge(condition(), [*map(Decimal, values)], [*map(Decimal, times)], NOW) == expected


@pytest.mark.parametrize(
    "op,below,equal,above",
    [
        (">=", False, True, True),
        (">", False, False, True),
        ("<=", True, True, False),
        ("<", True, False, False),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_every_operator(op: str, *, below: bool, equal: bool, above: bool) -> None:
    """Compared as decimals."""
    found = [
        judge(condition(op, "1"), [Decimal(value)], [*map(Decimal, FRESH)], NOW).true for value in ("0.9", "1.0", "1.1")
    ]
    assert found == [below, equal, above]


@asynccontextmanager
async def answering(answers: dict[str, bytes]) -> AsyncIterator[str]:
    """A server that answers each path with these bytes, whatever they are; gives its URL."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=answers[request.path])

    app = web.Application()
    for path in answers:
        app.router.add_route("*", path, handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def alert_entry(**changes: Any) -> dict[str, Any]:
    """An alert as Alertmanager lists it."""
    entry = {
        "fingerprint": "b42cef305cefc9ab",
        "labels": {"alertname": "X"},
        "annotations": {},
        "startsAt": "2026-11-21T08:17:42Z",
        "status": {"state": "active"},
        "receivers": [{"name": "freezeline"}],
    }
    return {**entry, **changes}


DEEP = b"[" * 200_000
LAST_DAY = "9999-12-31T23:59:59-05:00"


@pytest.mark.parametrize("starts_at", [LAST_DAY, "0001-01-01T00:00:00+14:00", "yesterday", "2026-11-21T08:17:42"])
async def test_an_alert_with_an_absurd_start_still_fires(starts_at: str) -> None:
    """Dropping the alert would look like a lost resolve, and end the freeze."""
    alerts = json.dumps([alert_entry(startsAt=starts_at)]).encode()
    status = json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode()
    async with answering({"/api/v2/status": status, "/api/v2/alerts": alerts}) as url, aiohttp.ClientSession() as http:
        known = await Alertmanager(http, url, receiver="freezeline", settle_s=0).known(NOW)
    assert known.alerts["b42cef305cefc9ab"].starts_at == NOW
    assert known.ours == {"b42cef305cefc9ab"}


@pytest.mark.parametrize(
    "status,alerts",
    [
        (json.dumps({"uptime": LAST_DAY}).encode(), b"[]"),
        (json.dumps({"uptime": 7}).encode(), b"[]"),
        (b"{}", b"[]"),
        (DEEP, b"[]"),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), DEEP),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), b"[7]"),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), b"9" * 5000),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), json.dumps([alert_entry(labels=7)]).encode()),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), json.dumps([alert_entry(fingerprint=[])]).encode()),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), json.dumps([alert_entry(startsAt=[])]).encode()),
        (json.dumps({"uptime": "2026-11-21T00:00:00Z"}).encode(), b'" ' + b" " * 17_000_000),
        (b"\xff\xfe", b"[]"),
    ],
)
async def test_an_answer_that_is_none_of_alertmanager_is_an_error(status: bytes, alerts: bytes) -> None:
    """Whatever it is, it ends as the one error that the reconciler expects."""
    async with answering({"/api/v2/status": status, "/api/v2/alerts": alerts}) as url, aiohttp.ClientSession() as http:
        with pytest.raises(SourceError):
            await Alertmanager(http, url, receiver="freezeline", settle_s=0).known(NOW)


def vector(value: str) -> bytes:
    """An answer of Prometheus with one sample, as JSON writes the sample."""
    result = '[{"metric": {}, "value": ' + value + "}]"
    return b'{"status": "success", "data": {"resultType": "vector", "result": ' + result.encode() + b"}}"


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b"{}",
        b"[]",
        vector("[0]"),
        vector('["soon", "soon"]'),
        vector('[1e400, "1e99999999999"]'),
        b'{"status": "success", "data": {"resultType": "scalar", "result": []}}',
        vector('[0, "sNaN"]'),
        vector('[0, "oops"]'),
    ],
)
async def test_an_answer_that_is_none_of_prometheus_unfreezes_nothing(body: bytes) -> None:
    """Never an error that the reconciler does not expect, and never a yes."""
    async with answering({"/api/v1/query": body}) as url, aiohttp.ClientSession() as http:
        assert not (await Conditions(Prometheus(http, url)).judge(condition(), NOW)).true
