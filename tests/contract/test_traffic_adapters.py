"""What a spec says of traffic reaches the engine: spec, policy file, adapter."""

import json
from typing import Any

import pytest

from freezeline.problems import Problems
from generator.render.policy import traffic
from release.policy.canary import Canary
from release.policy.read import parse
from release.traffic.command import CommandTraffic
from release.traffic.haproxy import Haproxy
from release.traffic.of_policy import of_policy
from release.traffic.rendered import Rendered
from tests.unit.generator.spec.loading import ACTIONS, good
from tests.unit.receiver.builders import raw_policy

CANARY = """\
canary:
  stages: [{weight: 10%, bake: 10m}, {weight: 100%, soak: 10m}]
  gates: [{id: queue, query: 'max(queue)', samples: none, max: 5}]
  on_abort: [freeze, rollback, tell]
  traffic: """

HAPROXY = "socket: /run/haproxy.sock, backend: shop, stable: v1, canary: v2"
FILE = "template: /t.j2, file: /f.conf, reload: [/usr/sbin/nginx, -s, reload], read: [/opt/read.sh]"


def engine_s(text: str) -> tuple[Canary, dict[str, Any]]:
    """The canary as the engine reads it, and the policy's traffic."""
    spec = good(ACTIONS + CANARY + text)
    assert spec.canary is not None
    assert spec.canary.traffic is not None
    written: dict[str, Any] = json.loads(json.dumps(traffic.render(spec.canary.traffic)))
    canary = {
        "every_s": 30,
        "scrape_s": 15,
        "no_data": {"hold_for_s": 600, "then": "hold"},
        "stages": [{"weight": "0.1", "bake_s": 600}, {"weight": "1", "soak_s": 600}],
        "traffic": written,
    }
    problems = Problems()
    found = parse(json.dumps(raw_policy(canary=canary)), file="p", problems=problems)
    assert found is not None, [str(problem) for problem in problems]
    assert found.canary is not None
    return found.canary, written


@pytest.mark.parametrize(
    "text,adapter",
    [
        (f"{{haproxy: {{{HAPROXY}}}}}", Haproxy),
        ("{haproxy: {socket: /s, backend: shop, stable: [a, b], canary: [c, d]}}", Haproxy),
        (f"{{haproxy: {{{HAPROXY}, users: {{map: /u.map, values: [alice]}}}}}}", Haproxy),
        (f"{{file: {{{FILE}}}}}", Rendered),
        (f"{{file: {{{FILE}, cut: [/opt/cut.sh], users: [alice, 'b@example.org'], timeout: 3s}}}}", Rendered),
        ("{commands: {set: [/opt/set.sh], read: [/opt/read.sh]}}", CommandTraffic),
    ],
)
def test_every_adapter_of_a_spec_is_the_engine_s(text: str, adapter: type) -> None:
    """The receiver's schema takes what `generate` writes, and the engine makes the adapter."""
    canary, _ = engine_s(text)
    assert type(of_policy(canary, {})) is adapter


def test_no_value_is_lost_on_the_way() -> None:
    """Every key of a rendered file, and the map of users."""
    canary, _ = engine_s(f"{{file: {{{FILE}, cut: [/opt/cut.sh], users: [alice, bob], timeout: 3s}}}}")
    assert canary.traffic is not None
    assert canary.traffic.file is not None
    named = canary.traffic.file
    assert (named.template, named.file, named.reload, named.read) == (
        "/t.j2",
        "/f.conf",
        ("/usr/sbin/nginx", "-s", "reload"),
        ("/opt/read.sh",),
    )
    assert (named.cut, named.users, named.timeout_s) == (("/opt/cut.sh",), ("alice", "bob"), 3.0)
    canary, _ = engine_s("{haproxy: {socket: /s, backend: shop, stable: [a, b], canary: [c, d]}}")
    assert canary.traffic is not None
    assert canary.traffic.haproxy is not None
    assert (canary.traffic.haproxy.stable, canary.traffic.haproxy.canary) == (("a", "b"), ("c", "d"))
    canary, _ = engine_s(f"{{haproxy: {{{HAPROXY}, users: {{map: /u.map, values: [alice]}}}}}}")
    assert canary.traffic is not None
    assert canary.traffic.haproxy is not None
    assert (canary.traffic.haproxy.stable, canary.traffic.haproxy.canary) == (("v1",), ("v2",))
    users = canary.traffic.haproxy.users
    assert users is not None
    assert (users.map, users.values) == ("/u.map", ("alice",))
