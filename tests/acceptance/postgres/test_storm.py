"""Storms from three real Alertmanagers to three receivers on two hosts, while any two processes die at once.

`test_crashes` sends bodies at seeded moments by itself; here the bodies, repeats and moments are Alertmanager's. The
report goes to tests/data/storm-report-postgres.txt.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.postgres.storm import WAIT_S, Storm, alerts_of, storm
from tests.tools import ROOT, Generation
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600), pytest.mark.xdist_group("postgres")]

SEEDS = int(os.environ.get("FREEZELINE_STORM_SEEDS", "4"))
ALERTS, KILLS, INTERVAL_S = 20, 3, 10
QUICK_SEED, QUICK_ALERTS, QUICK_KILLS, QUICK_INTERVAL_S = 0, 5, 1, 2
REPORT = ROOT / "tests" / "data" / "storm-report-postgres.txt"
HEAD = (
    "Three receivers on two hosts, three real Alertmanagers, a primary with a standby. By a seed, two of these seven\n"
    "processes are killed at once, six times: three times while alerts fire, and three times while they end.\n\n"
)


@pytest.mark.soak
@pytest.mark.parametrize("generation", ["current"], indirect=True)
async def test_a_short_storm(generation: Generation, tmp_path: Path) -> None:
    """Two processes die while alerts fire, and two while they end. The routes wait less than they ship with."""
    async with storm(tmp_path, generation, Random(QUICK_SEED), interval_s=QUICK_INTERVAL_S) as world:
        await live_through(world, tmp_path, QUICK_ALERTS, QUICK_KILLS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("generation", ["current"], indirect=True)
async def test_storms_lose_nothing_and_repeat_nothing(generation: Generation, seed: int, tmp_path: Path) -> None:
    """With the routes as they ship."""
    async with storm(tmp_path, generation, Random(seed), interval_s=INTERVAL_S) as world:
        decisions = await live_through(world, tmp_path, ALERTS, KILLS)
        report(seed, world, decisions)


async def live_through(world: Storm, root: Path, count: int, kills: int) -> int:
    """Alerts fire and end. Returns the number of decisions."""
    hosts, rules, since = world.hosts, root / "generated" / "rules", datetime.now(UTC)
    for ended in (False, True):
        await world.through(alerts_of(rules, count, since, ended=ended), kills, frozen=not ended)
    await until(hosts.heard, WAIT_S, "people are told")
    hosts.check_end()
    assert hosts.rows("SELECT state, count(*) FROM episode GROUP BY state") == [("CLOSED", count)]
    assert len(hosts.acknowledged) >= 2 * count
    return hosts.check_kept()


def report(seed: int, world: Storm, decisions: int) -> None:
    """Write the seed's line. The first seed begins the report anew."""
    hosts, statuses = world.hosts, world.relay.statuses
    repeats = [text for text in hosts.told() if text.startswith("(repeat)")]
    line = (
        f"seed {seed}: killed {'; '.join(world.killed)}. Webhooks: {statuses[200]} got 200, "
        f"{sum(statuses.values()) - statuses[200]} another status, {world.relay.broken} no answer. Lost 0, "
        f"repeated 0, missed freezes 0, rollback starts 1, decisions {decisions}, notices lost 0, "
        f"marked as repeats {len(repeats)}\n"
    )
    before = REPORT.read_text() if seed and REPORT.exists() else HEAD
    REPORT.write_text(before + line)
