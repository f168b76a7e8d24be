"""The engine's judge of A/B tests on a real Prometheus: a worse canary is found, an equal one passes."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from receiver.sources.asking import SourceError
from receiver.sources.prometheus import Prometheus
from release.canary.state import AbJudged, Answers, Phase, State
from release.engine.ab import AbAsker
from release.engine.readings import Tracks
from release.policy.canary import AbMetric, AbTest, Canary, NoData, Stage
from release.store.database import Database
from tests.tools import Generation, PrometheusServer, prometheus_server

pytestmark = pytest.mark.acceptance

SCRAPE_S = 60
STAGE_S = 7200
DAY_S = 86400
EACH = 500  # requests of each release between two scrapes: 60,000 in the stage


def noon() -> int:
    """Noon of yesterday, UTC: a test looks at 00:00 each day, and a stage from here on ends before."""
    return int(time.time()) // DAY_S * DAY_S - DAY_S // 2


def canary(method: str = "group-sequential") -> Canary:
    """One stage with half of the traffic and a test of errors."""
    metric = AbMetric(id="errors", bad='r_total{code="500",track="$canary"}', total='r_total{track="$canary"}')
    test = AbTest(
        metrics=(metric,),
        confidence=Decimal("0.95"),
        power=Decimal("0.8"),
        detect=Decimal("0.5"),
        method=method,  # type: ignore[arg-type]
        assignment="request",
        then="advance",
    )
    stages = (Stage(weight=Decimal("0.5"), bake_s=STAGE_S, ab=test), Stage(weight=Decimal(1), soak_s=60))
    return Canary(every_s=60, scrape_s=60, no_data=NoData(hold_for_s=600, then="hold"), stages=stages)


@contextmanager
def history(generation: Generation, folder: Path, *, bad_canary: int, begin: int) -> Iterator[PrometheusServer]:
    """Ten bad requests of 500 between scrapes in the stable release, and `bad_canary` in the other one."""
    lines = ["# TYPE r counter"]
    for track, bad in (("stable", 10), ("treatment", bad_canary)):
        for code, each in (("500", bad), ("200", EACH - bad)):
            for number in range(STAGE_S // SCRAPE_S + 1):
                at = begin + number * SCRAPE_S
                lines.append(f'r_total{{code="{code}",track="{track}"}} {1000 + number * each} {at}')
    (folder / "past.txt").write_text("\n".join([*lines, "# EOF\n"]))
    made = [str(generation.promtool), "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True, timeout=60)
    with prometheus_server(generation, folder, "{}\n", flags=("--storage.tsdb.retention.time=30d",)) as server:
        yield server


def state(begin: float, phase: Phase, *, ab: str = "") -> State:
    """A rollout in its first stage."""
    return State(
        rollout="r1", release="v2", stable="v1", phase=phase, stage=0, shifted_at=begin, answers=Answers(ab=ab)
    )


async def asked(
    server: PrometheusServer, database: Database, now: float, *states: State, method: str = "group-sequential"
) -> list[AbJudged | None]:
    """What the judge says, each time with a new judge on the same database."""
    tracks = Tracks(canary="treatment", stable="stable")
    found = []
    async with aiohttp.ClientSession() as http:
        for one in states:
            asker = AbAsker(
                canary(method), tracks, Prometheus(http, server.url), database, clock=lambda: now, day_s=DAY_S
            )
            found.append(await asker(one))
    return found


def opened(folder: Path, begin: float) -> Database:
    """The service's database with this rollout."""
    database = Database(folder / "shop.db")
    database.begin(state(begin, Phase.BAKE), policy="{}", every_s=60, at=begin)
    return database


@pytest.mark.parametrize("bad_canary,outcome", [(10, "not_worse"), (8, "not_worse"), (15, "worse")])
async def test_the_end_of_a_stage_is_judged(
    generation: Generation, tmp_path: Path, bad_canary: int, outcome: str
) -> None:
    """2 % bad in the stable release. The answer is given until the rollout has heard it, and then no more."""
    begin = noon()
    with history(generation, tmp_path, bad_canary=bad_canary, begin=begin) as server:
        database = opened(tmp_path, begin)
        ends = state(begin, Phase.EVALUATE)
        heard = state(begin, Phase.EVALUATE, ab=outcome)
        first, again, silent = await asked(server, database, begin + STAGE_S, ends, ends, heard)
    assert first is not None
    assert (first.outcome, again, silent) == (outcome, first, None)


async def test_harm_is_told_before_the_end(generation: Generation, tmp_path: Path) -> None:
    """Five times as many errors: the guard between planned looks stops the test in the first half hour."""
    begin = noon()
    with history(generation, tmp_path, bad_canary=50, begin=begin) as server:
        (found,) = await asked(
            server, opened(tmp_path, begin), begin + 1800, state(begin, Phase.BAKE), method="fixed-horizon"
        )
    assert found is not None
    assert found.outcome == "worse"


async def test_a_prometheus_that_is_away_loses_nothing(generation: Generation, tmp_path: Path) -> None:
    """The look fails, and the next one counts the same time."""
    begin = noon()
    database = opened(tmp_path, begin)
    ends = state(begin, Phase.EVALUATE)
    with history(generation, tmp_path, bad_canary=10, begin=begin) as server:
        assert await asked(server, database, begin + 1800, state(begin, Phase.BAKE)) == [None]
    with pytest.raises(SourceError):
        await asked(server, database, begin + STAGE_S, ends)
    with prometheus_server(generation, tmp_path, "{}\n", flags=("--storage.tsdb.retention.time=30d",)) as server:
        (found,) = await asked(server, database, begin + STAGE_S, ends)
    assert found is not None
    assert found.outcome == "not_worse"
