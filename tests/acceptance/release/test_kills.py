"""The engine and the receiver are killed in a rollout: no stage is skipped or begun twice, and one rollback at most.

A short selection runs always. The soak test kills engines at 30 seeded moments and receivers at 10; its report goes to
tests/data/kill-report.txt.
"""

from pathlib import Path
from random import Random

import pytest

from receiver.steps import Step
from tests.acceptance.release.killed import Ended, Kind, kill_site, rolled_out
from tests.acceptance.release.test_rollout import current
from tests.tools import ROOT

REPORT = ROOT / "tests" / "data" / "kill-report.txt"
KINDS = (Kind(), Kind(errs_from=0), Kind(errs_from=1), Kind(errs_from=2))
ENGINE_KILLS, ENGINE_SEEDS = 5, 6
RECEIVER_KILLS, RECEIVER_SEEDS = 2, 5
BOUNDARIES = 40
"""An engine passes more boundaries than this in any rollout that ends."""

ANY_ROLLOUT = (Step.JOURNAL_BEFORE_COMMIT, Step.JOURNAL_COMMITTED, Step.NOTICE_RUNNING, Step.NOTICE_SENT)
AN_ABORT = tuple(
    step for step in Step if step.value.startswith(("freeze.", "rollback.")) and "legacy" not in step.value
)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


async def test_kills_at_the_worst_moments(tmp_path: Path) -> None:
    """Before a shift is stored, between two commands of HAProxy, in the abort; the receiver dies in the rollback."""
    async with kill_site(tmp_path, current()) as shop:
        ended = await rolled_out(
            shop,
            "v2",
            Kind(errs_from=1),
            engine_kills=["before:Shifted 1", "set server 2", "obeyed:CutTraffic 1", "stored:RollbackEnded 1"],
            receiver_kills=[(Step.ROLLBACK_RUNNING, 1)],
        )
        assert len(ended.engine_kills) == 4
        assert ended.receiver_kills == ["rollback.running"]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, ENGINE_SEEDS + 1))
async def test_engines_killed_at_seeded_moments(tmp_path: Path, seed: int) -> None:
    """Good and bad releases one after the other, until so many engines were killed."""
    random, found = Random(seed), list[Ended]()
    async with kill_site(tmp_path, current()) as shop:
        while (left := ENGINE_KILLS - sum(len(one.engine_kills) for one in found)) > 0:
            kills = [random.randint(1, BOUNDARIES) for _ in range(left)]
            release = f"v{len(found) + 2}"
            found.append(await rolled_out(shop, release, random.choice(KINDS), engine_kills=kills))
    report(f"engine, seed {seed}", found)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, RECEIVER_SEEDS + 1))
async def test_receivers_killed_at_seeded_steps(tmp_path: Path, seed: int) -> None:
    """One dies while the rollout goes on, and one in the abort, each in a rollout that errs at some stage."""
    random = Random(seed)
    kills = [(random.choice(ANY_ROLLOUT), random.randint(1, 3)), (random.choice(AN_ABORT), 1)]
    async with kill_site(tmp_path, current()) as shop:
        ended = await rolled_out(shop, "v2", random.choice(KINDS[1:]), receiver_kills=kills)
    assert len(ended.receiver_kills) == RECEIVER_KILLS
    report(f"receiver, seed {seed}", [ended])


def report(name: str, found: list[Ended]) -> None:
    """Write the seed's line into the report, in place of its last one."""
    kills = [kill for one in found for kill in (*one.engine_kills, *one.receiver_kills)]
    done = sum(one.kind.good for one in found)
    stages = sum(len(set(one.stages)) for one in found)
    twice = sum(len(one.stages) for one in found) - stages
    skipped = sum(max(one.stages) + 1 for one in found) - stages
    line = f"{name}: kills {len(kills)} ({', '.join(kills)}); done {done}, rolled back once {len(found) - done};"
    line += f" stages begun {stages}, skipped {skipped}, begun twice {twice}"
    kept = [old for old in REPORT.read_text().splitlines() if not old.startswith(f"{name}:")] if REPORT.exists() else []
    REPORT.write_text("\n".join(sorted([*kept, line])) + "\n")
