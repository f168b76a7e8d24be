"""The API of rollouts, with a canary in the policy and a rollout that runs: roles, answers, hostile requests."""

import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from receiver.http.canary import CANARY_EVENTS, ENDPOINTS
from release.canary.state import Answers, Phase, State, Tick
from release.canary.verdict import Measured, Verdict
from release.store.database import Database
from tests.acceptance.input.logs import said_in_error
from tests.acceptance.input.test_openapi import swept
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.acceptance.release.shop import write_policy
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "receiver" / "openapi.yaml").read_text("utf-8"))
PATHS: dict[str, dict[str, Any]] = {
    path: methods for path, methods in DOCUMENT["paths"].items() if path.startswith("/api/v2/canary/")
}
SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {{team: shop}}
slos:
  errors: {{objective: 99.5, sli: {{bad: 'shop_requests_total{{code=~"5.."}}', total: shop_requests_total}}}}
policy: [{{on: {{severity: critical}}, do: [tell]}}]
actions:
  freeze: {{flag: {root}/flags/FREEZE.FLAG}}
  rollback: {{command: [{root}/service/rollback.sh], timeout: 60s, verify: {{command: [{root}/service/verify.sh]}}, release: {{command: [{root}/service/current.sh]}}}}
  tell: {{channels: [log], fallback: [log]}}
canary:
  traffic: {{commands: {{set: [/bin/true], read: [/bin/true]}}}}
  every: 1h
  stages: [{{weight: 10%, bake: 1h, then: {{approval: manual}}}}, {{weight: 100%, soak: 1h}}]
  gates:
    - {{id: errors, ratio: {{bad: 'shop_requests_total{{code=~"5..",version="$canary"}}', total: 'shop_requests_total{{version="$canary"}}'}}, over: 2m, max: 0.5%, consecutive: 3}}
    - {{id: synthetic, source: push, max: 3, consecutive: 2}}
  on_abort: [rollback, tell]
"""  # noqa: E501 - a line of YAML
BODIES: dict[str, dict[str, Any]] = {
    "enable": {"traffic_percentage": 100},
    "metrics": {},
    "samples": {"samples": [{"gate": "synthetic", "value": 2.5, "count": 7}]},
    "rollback": {"reason": "drill"},
    "tell": {"service": "shop", "rollout": "r1", "message": 1, "event": "canary_held", "text": "held"},
}
ANSWERS = {"enable": 202, "metrics": 200, "samples": 202, "rollback": 202, "tell": 202}


class Api:
    """A receiver whose service `shop` has a running rollout, as an engine stored it."""

    def __init__(self, server: Receiver, database: Database) -> None:
        self.server = server
        self.database = database

    async def ask(self, method: str, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
        """Status and body of an answer."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.server.http.request(method, self.server.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def post(self, name: str, body: Any = None, role: str = "operate") -> tuple[int, Any]:
        """A POST with a role's token."""
        sent = BODIES[name] if body is None else body
        return await self.ask("POST", f"/api/v2/canary/{name}", self.server.site.token(role), sent)

    def orders(self) -> list[dict[str, Any]]:
        """What people asked of the engine, and nobody has answered."""
        return [json.loads(order.body) for order in self.database.open_orders()]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The database of the service's rollouts."""
    made = Database(tmp_path / "state" / "canary" / "shop.db")
    yield made
    made.close()


@pytest.fixture
async def api(tmp_path: Path, database: Database) -> AsyncIterator[Api]:
    """The receiver, and a rollout that waits for an approval at the end of its first stage."""
    site = Site(root=tmp_path, settings={"channels": {"log": {"type": "log"}}})
    (tmp_path / "policy" / "gateway.policy.json").unlink()
    target = tmp_path / "policy" / "shop.policy.json"
    write_policy(tmp_path, SPEC.format(root=tmp_path), target)
    site.write()
    (tmp_path / "policy" / "gateway.policy.json").unlink()
    begin(database, target.read_text(), time.time())
    async with receiver(site) as server:
        yield Api(server, database)


def begin(database: Database, policy: str, at: float) -> None:
    """A rollout whose first stage is over, with one look."""
    beginning = State(rollout="r1", release="v2", stable="v1")
    database.begin(beginning, policy=policy, every_s=3600, at=at)
    measured = Measured(
        gate="errors", verdict=Verdict.PASS, value=Decimal(0), bound=Decimal("0.005"), samples=900, why="0 of 900"
    )
    tick = Tick(at=at, weight=Decimal("0.1"), measured=(measured,))
    waits = replace(
        beginning, phase=Phase.EVALUATE, weight=Decimal("0.1"), shifted_at=at, answers=Answers(approval_asked_at=at)
    )
    database.save(tick, waits, (), at=at)


def test_every_path_is_tested() -> None:
    """The bodies above are those of the receiver's endpoints; the document lists the same, with the same roles."""
    assert set(BODIES) == set(ANSWERS) == set(ENDPOINTS)
    posts = {path.rpartition("/")[2]: methods["post"] for path, methods in PATHS.items() if "post" in methods}
    assert set(posts) == set(ENDPOINTS)
    assert {name: [*one["security"][0]] for name, one in posts.items()} == {
        name: [role.value] for name, (_, role) in ENDPOINTS.items()
    }
    events = DOCUMENT["components"]["schemas"]["CanaryEvent"]["enum"]
    assert sorted(event.value for event in CANARY_EVENTS) == events


async def test_each_path_with_each_role(api: Api) -> None:
    """A role that may not ask is refused before anything is read; nothing was stored by then."""
    tokens = {role: api.server.site.token(role) for role in ("webhook", "read", "operate")}
    bad = {"none": None, "empty": "", "wrong": "x" * 43, "almost": tokens["operate"][:-1]}
    for path, methods in PATHS.items():
        for method, about in methods.items():
            needed = next(iter(about["security"][0]))
            allowed = {"operate"} | ({"read"} if needed == "read" else set())
            asked = path.replace("{rollout}", "r1")
            body = BODIES.get(path.rpartition("/")[2])
            for name, token in {**tokens, **bad}.items():
                if name not in allowed:
                    status, answer = await api.ask(method.upper(), asked, token, body)
                    assert (status, set(answer)) == (401, {"error"}), (path, name)
    assert api.orders() == []
    assert api.database.pushed(0) == {}
    assert api.server.site.rows("SELECT COUNT(*) FROM episode") == [(0,)]
    for role in ("read", "operate"):
        assert (await api.post("metrics", role=role))[0] == 200


async def test_each_path_does_what_the_document_says(api: Api) -> None:
    """Approve by the next percentage, ask, push evidence, abort, report an abort, and tell: each once."""
    found = {name: await api.post(name) for name in BODIES}
    assert {name: status for name, (status, _) in found.items()} == ANSWERS
    asked = [order["kind"] for order in api.orders()]
    assert asked == ["Approved", "AbortAsked"]
    assert api.database.pushed(0) == {"synthetic": (Decimal("2.5"), 7)}
    shown = found["metrics"][1]
    assert (shown["release"], shown["phase"], shown["stage"], shown["running"]) == ("v2", "evaluate", 1, True)
    shares = ("wanted_percentage", "configured_percentage", "measured_percentage")
    assert shown["traffic"] == dict.fromkeys(shares, 10)
    assert shown["waits_for"] == ["a person must approve this stage: `freezeline canary approve`"]
    assert [(gate["gate"], gate["verdict"]) for gate in shown["gates"]] == [("errors", "pass")]
    unknown = {"requests_percentage": None, "gates": {"errors": None}}
    assert shown["tracks"] == {"canary": {"name": "v2", **unknown}, "stable": {"name": "v1", **unknown}}
    assert found["tell"][1]["told"] == 1
    assert (await api.post("tell"))[1]["told"] == 0
    assert (await api.post("enable", {"traffic_percentage": 50}))[0] == 422
    assert (await api.post("enable", {"traffic_percentage": 10}))[0] == 409

    state = "/api/v2/canary/rollback/r1"
    assert (await api.ask("GET", state, api.server.site.token("read")))[0] == 404
    abort = {"service": "shop", "rollout": "r1", "release": "v2", "reason": "errors"}
    first, again = await api.post("rollback", abort), await api.post("rollback", abort)
    assert first == again
    assert first[0] == 202

    async def over() -> bool:
        status, answer = await api.ask("GET", state, api.server.site.token("read"))
        return status == 200 and answer["ended"] and answer["why"] == ""

    await until(over, 20, "the rollback is over")
    assert api.server.site.lines("rollbacks") == ["v2"]


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("enable", {"traffic_percentage": True}),
    ("enable", {"traffic_percentage": "10"}),
    ("enable", {"traffic_percentage": 10, "service": ["shop"]}),
    ("samples", {"samples": [{"gate": ["synthetic"], "value": 1}]}),
    ("samples", {"samples": [{"gate": {}, "value": 1}]}),
    ("samples", {"samples": [{"gate": "errors", "value": 1}]}),
    ("samples", {"samples": [{"gate": "synthetic", "value": "NaN"}]}),
    ("samples", {"samples": [{"gate": "synthetic", "value": 1, "count": -1}]}),
    ("samples", {"samples": [{"gate": "synthetic", "value": 1}], "at": "now"}),
    ("rollback", {"reason": " "}),
    ("rollback", {"reason": "x", "rollout": 7, "release": "v2", "service": "shop"}),
    ("tell", BODIES["tell"] | {"message": "1"}),
    ("tell", BODIES["tell"] | {"event": "frozen"}),
]


async def test_a_wrong_body_is_422(api: Api) -> None:
    """The answer names the member that is wrong; nothing is stored."""
    answers = [await api.post(name, body) for name, body in WRONG]
    assert [status for status, _ in answers] == [422] * len(WRONG)
    assert [answer["error"] for _, answer in answers if "`" not in answer["error"]] == []
    assert api.orders() == []
    assert api.database.pushed(0) == {}


@pytest.mark.parametrize(
    "examples,seed",
    [(8, 1), pytest.param(300, random.randrange(2**32), marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
async def test_the_api_answers_as_the_document_says(api: Api, examples: int, seed: int) -> None:
    """schemathesis, while the rollout runs: statuses and bodies of the document, no 5xx, no traceback in the log."""
    report = await swept(api.server, examples=examples, seed=seed, paths="^/api/v2/canary/")
    assert report.returncode == 0, report.stdout[-6000:] + report.stderr[-2000:]
    assert api.server.process.poll() is None
    assert said_in_error(api.server.log) == []
    assert (await api.post("metrics"))[1]["running"] is True
