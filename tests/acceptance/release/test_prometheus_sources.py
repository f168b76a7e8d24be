"""`receiver.sources.prometheus` asks a real Prometheus; wrong, slow and huge answers are a SourceError."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.sources.asking import Limits, SourceError
from receiver.sources.prometheus import Prometheus
from tests.tools import Generation, prometheus_server
from tests.waiting import until

pytestmark = pytest.mark.acceptance

CONFIG = "rule_files: [r.yml]\nglobal: {evaluation_interval: 1s}\n"
RULES = """\
groups:
  - name: one
    interval: 1s
    rules:
      - {record: 'x:y', expr: vector(2)}
      - {alert: Always, expr: 'vector(1)', labels: {severity: critical}}
      - {alert: Later, expr: 'vector(1)', for: 1h}
"""


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_samples_alerts_and_rules(generation: Generation, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Values are decimals, pending alerts are left out, and rules are listed with their health."""
    (tmp_path / "r.yml").write_text(RULES)
    with prometheus_server(generation, tmp_path, CONFIG) as server:
        await until(lambda: any(one["state"] == "firing" for one in server.alerts()), 30, "an alert fires")
        asked = Prometheus(http, server.url)
        samples = await asked.samples('label_replace(vector(0.1), "a", "b", "", "")')
        assert [(dict(one.labels), one.value) for one in samples] == [({"a": "b"}, Decimal("0.1"))]
        assert [one.value for one in await asked.samples("scalar(vector(3))")] == [Decimal(3)]
        (nan,) = await asked.samples("vector(0) / 0")
        assert nan.value.is_nan()
        assert await asked.samples("absent_series") == ()
        assert [one.labels["alertname"] for one in await asked.firing_alerts()] == ["Always"]
        rules = await asked.rules()
        assert [(one.name, one.health) for one in rules] == [("x:y", "ok"), ("Always", "ok"), ("Later", "ok")]
        with pytest.raises(SourceError, match="parse error"):
            await asked.samples("1 +")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 200_000,
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [1]}}',
        b'{"status": "success", "data": {"resultType": "scalar", "result": [' + b"9" * 400 + b', "1"]}}',
        b'{"status": "success", "data": {"resultType": "scalar", "result": ["NaN", "1"]}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[NaN, "1"]]}]}}',
    ],
)
async def test_nonsense_is_a_source_error(http: aiohttp.ClientSession, body: bytes) -> None:
    """No answer of a server becomes a traceback."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        asked = Prometheus(http, str(server.make_url("")))
        for question in (asked.samples("x"), asked.raw("x[1m]", at_s=0), asked.firing_alerts(), asked.rules()):
            with pytest.raises(SourceError):
                await question


async def test_thanos_says_null_for_an_empty_list(http: aiohttp.ClientSession) -> None:
    """A querier without firing alerts and without rules is a querier that answers."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"alerts": None, "groups": None}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        asked = Prometheus(http, str(server.make_url("")))
        assert (await asked.firing_alerts(), await asked.rules()) == ((), ())


async def test_an_answer_without_end_is_cut_off(http: aiohttp.ClientSession) -> None:
    """A server that sends more than the limit is a SourceError, not a full memory."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b" " * 2000)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        small = Limits(seconds=10, most_bytes=1000)
        with pytest.raises(SourceError, match="more than 1000 bytes"):
            await Prometheus(http, str(server.make_url("")), limits=small).samples("x")


async def test_a_refused_connection_is_a_source_error(http: aiohttp.ClientSession) -> None:
    """Port 1 of this machine answers nobody."""
    with pytest.raises(SourceError, match="cannot be asked"):
        await Prometheus(http, "http://127.0.0.1:1").samples("x")
