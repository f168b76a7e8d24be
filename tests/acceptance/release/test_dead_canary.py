"""What only the balancer sees: a dead canary behind `option redispatch`, and clients who stick to a server."""

import re
from pathlib import Path

import pytest

from tests.acceptance.release.recipes import recipes
from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import SPEC, opened
from tests.acceptance.release.test_rollout import current
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

STAGES = """\
    - {weight: 50%, bake: 2s}
    - {weight: 100%, soak: 3s}"""


def spec_with_recipes() -> str:
    """The shop's spec, whose gates of the balancer are those of the docs, with a window for a test."""
    offered = recipes().replace("over: 1m", "over: 4s").replace("[1m]", "[4s]").replace("{", "{{").replace("}", "}}")
    lines = [line for line in SPEC.splitlines() if "{id: balancer," not in line.replace("{{", "{")]
    at = next(number for number, line in enumerate(lines) if "{id: memory," in line)
    return "\n".join([*lines[: at + 1], *(f"  {line}" for line in offered.splitlines()), *lines[at + 1 :]]) + "\n"


async def test_a_dead_canary_behind_redispatch_is_taken_back(tmp_path: Path) -> None:
    """HAProxy answers every request from the stable server, and counts what the canary refused."""
    redispatch = "option redispatch"
    async with opened(
        tmp_path, current(), stages=STAGES, defaults=redispatch, spec=spec_with_recipes(), canary_runs=False
    ) as shop:
        with engine(shop, "v2") as running:
            assert await running.ended() == 1, running.log.read_text()[-3000:]
        found = shop.rollout()
        assert found is not None
        assert found.state.phase.value == "rolled_back", found.state.why
        # HAProxy counts a request when it comes and a redispatch later, so a few of 100 % may be on their way.
        assert re.match(r"gate redispatched: (100|9[89](\.\d+)?) % \(limit 0\.5 %\)", found.state.why), found.state.why
        assert found.state.gates["redispatched"].streak == 3
        assert shop.stage() == ("rolled_back", 0)
        assert set(shop.answers) == {"200"}
        assert shop.rollbacks() == [("v2", "SUCCEEDED")]
        assert shop.weights()["canary"] == 0


@pytest.mark.soak
async def test_clients_who_stick_to_a_server_are_found_out(tmp_path: Path) -> None:
    """HAProxy knows every client of this machine by its address. The canary gets nothing instead of half."""
    sticky = "stick-table type ip size 1k expire 1h\n  stick on src"
    async with opened(tmp_path, current(), stages=STAGES, backend=sticky, spec=spec_with_recipes()) as shop:
        await until(lambda: shop.answers["200"] > 0, 20, "the clients have their server")
        shop.canary.renamed("v2")
        with engine(shop, "v2") as running:
            assert await running.ended() == 1, running.log.read_text()[-3000:]
        found = shop.rollout()
        assert found is not None
        assert found.state.phase.value == "rolled_back", found.state.why
        assert found.state.why.startswith("gate share: 1 (limit 0.2)"), found.state.why
        assert shop.rollbacks() == [("v2", "SUCCEEDED")]
