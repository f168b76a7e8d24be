"""A stage whose time is over holds until its events tell a good release from a bad one; then the rollout goes on."""

from pathlib import Path

import pytest

from tests.acceptance.release.rollouts import engine
from tests.acceptance.release.shop import SPEC, opened
from tests.acceptance.release.test_rollout import current, held
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(240)]

STAGES = """\
    - {weight: 50%, bake: 1s}
    - {weight: 100%, soak: 1s}"""


async def test_a_stage_waits_for_its_evidence(tmp_path: Path) -> None:
    """With 40 requests a second, a bound of 0.5 % needs about ten seconds. People hear of the hold, and do nothing."""
    spec = SPEC.replace("evidence: off", "evidence: 60%")
    async with opened(tmp_path, current(), stages=STAGES, spec=spec) as shop:
        shop.canary.renamed("v2")
        with engine(shop, "v2") as running:
            await until(lambda: held(shop) == {"evidence"}, 60, "the first stage is over, and holds")
            found = shop.rollout()
            assert found is not None
            assert (found.state.phase.value, found.state.stage) == ("bake", 0)
            assert "too few events to tell a good release from a bad one" in "; ".join(found.state.holds.values())
            await until(lambda: "canary_held" in shop.notices(), 20, "people hear of the hold")
            assert await running.ended(120) == 0, running.log.read_text()[-3000:]
        assert (shop.phase(), shop.weights()) == ("done", {"stable": 0, "canary": 100})
        assert "Resumed" not in [one[0] for one in shop.steps()]
