"""The gates that docs/canary.md offers compile."""

from textwrap import indent

from tests.acceptance.release.recipes import recipes
from tests.unit.generator.spec.loading import ACTIONS, load

CANARY = """\
canary:
  deploy: {command: [/opt/shop/deploy.sh]}
  release: {command: [/opt/shop/current.sh]}
  traffic: {haproxy: {socket: /run/haproxy.sock, backend: shop, stable: stable, canary: canary}}
  start: {approval: manual}
  min_samples: 100
  stages: [{weight: 10%, bake: 10m}, {weight: 100%, soak: 10m}]
  on_abort: [freeze, rollback, tell]
  gates:
"""


def test_the_gates_of_the_balancer_compile() -> None:
    """Each gate of the page, in one spec, without an error."""
    spec, problems = load(ACTIONS + CANARY + indent(recipes(), "  "))
    assert [str(problem) for problem in problems if not problem.warning] == []
    assert spec.canary is not None
    assert [gate.id for gate in spec.canary.gates] == ["redispatched", "refused", "answers", "server-up", "share"]
