"""The A/B test's judge just after a shift: neither the weight before nor the times of scrapes mislead the judge."""

import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from receiver.sources.prometheus import Prometheus
from release.canary.state import AbJudged, Phase, State
from release.engine.ab import AbAsker
from release.engine.readings import Tracks
from release.policy.canary import AbMetric, AbTest, Canary, NoData, Stage
from release.store.database import Database
from tests.acceptance.release.systems import remembered
from tests.acceptance.release.test_rollout import current
from tests.tools import prometheus_server

pytestmark = pytest.mark.acceptance

SCRAPE_S = 15
PER_SECOND = 1000
BEFORE_S, STAGE_S = 600, 600
BUSY_S = 60.0
BAD = 0.02
PART_BEFORE = {"stable": 0.9, "treatment": 0.1}
AT = {"stable": 1, "treatment": 9}
"""When each release is scraped, in seconds after a multiple of the interval: Prometheus spreads its targets."""


def canary() -> Canary:
    """A stage with half of the traffic, after one with a tenth."""
    metric = AbMetric(id="errors", bad='r_total{code="500",track="$canary"}', total='r_total{track="$canary"}')
    test = AbTest(
        metrics=(metric,),
        confidence=Decimal("0.95"),
        power=Decimal("0.8"),
        detect=Decimal("0.5"),
        method="group-sequential",
        assignment="request",
        then="advance",
    )
    stages = (Stage(weight=Decimal("0.5"), bake_s=STAGE_S, ab=test), Stage(weight=Decimal(1), soak_s=60))
    no_data = NoData(hold_for_s=600, then="hold")
    return Canary(every_s=SCRAPE_S, scrape_s=SCRAPE_S, no_data=no_data, stages=stages)


def past(shifted_at: int, *, quiet: float = 1.0) -> str:
    """A thousand requests a second, a tenth of them to the treatment, and from the shift on a half.

    A minute after the shift, so much of the requests is left.
    """
    lines = ["# TYPE r counter"]
    first = shifted_at - BEFORE_S
    for track, part in PART_BEFORE.items():
        for code, share in (("500", BAD), ("200", 1 - BAD)):
            for at in range(first - first % SCRAPE_S + AT[track], shifted_at + STAGE_S, SCRAPE_S):
                passed_s, shifted_s = min(at, shifted_at) - first + SCRAPE_S, float(max(0, at - shifted_at))
                shifted_s = min(shifted_s, BUSY_S) + quiet * max(0.0, shifted_s - BUSY_S)
                events = round(PER_SECOND * share * (part * passed_s + 0.5 * shifted_s))
                lines.append(f'r_total{{code="{code}",track="{track}"}} {events} {at}')
    return "\n".join([*lines, "# EOF\n"])


async def judged(folder: Path, url: str, shifted_at: float, after_s: float) -> AbJudged | None:
    """The judge's answer so long after the shift."""
    phase = Phase.EVALUATE if after_s >= STAGE_S else Phase.BAKE
    state = State(rollout="r1", release="v2", stable="v1", phase=phase, stage=0, shifted_at=shifted_at)
    with closing(Database(folder / f"{after_s}.db")) as database:
        database.begin(state, policy="{}", every_s=SCRAPE_S, at=shifted_at)
        async with aiohttp.ClientSession() as http:
            tracks = Tracks(canary="treatment", stable="stable")
            prometheus = Prometheus(http, url)
            # A planned look comes each 20 s of these shortened days.
            asker = AbAsker(canary(), tracks, prometheus, database, clock=lambda: shifted_at + after_s, day_s=20)
            return await asker(state)


@pytest.mark.parametrize("shift,quiet", [(2, 1.0), (7, 1.0), (14, 1.0), (2, 0.3)])
async def test_a_right_split_is_never_called_wrong(tmp_path: Path, shift: int, quiet: float) -> None:
    """The shift falls between scrapes: some see the old weight for longer. At every look, the split is 50 %.

    Where the load changes, the release that is scraped eight seconds later has counted more of one time.
    """
    now = int(time.time())
    shifted_at = now - now % SCRAPE_S - STAGE_S - 60 + shift
    remembered(current(), tmp_path / "prometheus", past(shifted_at, quiet=quiet))
    with prometheus_server(current(), tmp_path / "prometheus", "{}\n") as server:
        for after_s in (20, 31, 38, 46, 61, 90, 100, 305):
            found = await judged(tmp_path, server.url, shifted_at, after_s)
            assert found is None or found.outcome in {"undecided", "not_worse"}, (after_s, found)
        found = await judged(tmp_path, server.url, shifted_at, STAGE_S)
    assert found is not None
    assert found.outcome == "not_worse", found
