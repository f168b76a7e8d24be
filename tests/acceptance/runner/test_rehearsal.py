"""Many rollbacks with injected faults: at least 95 in 100 succeed, none starts twice, every report is true."""

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.runner.rehearsal import Fault, Rehearsed, faults, rehearse

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

SEED, COUNT, AT_ONCE = 20260107, 100, 4  # a seed in which every kind of fault occurs


async def rehearsals(directory: Path) -> list[Rehearsed]:
    """All rollbacks of the seed, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, fault: Fault) -> Rehearsed:
        async with places:
            return await rehearse(directory / str(number), fault)

    return await asyncio.gather(*(one(number, fault) for number, fault in enumerate(faults(SEED, COUNT))))


async def test_rollbacks_succeed_under_faults(tmp_path: Path) -> None:
    """Success is a service that is switched and reported so; every kind of fault occurs."""
    seen = await rehearsals(tmp_path)
    assert {one.fault for one in seen} == set(Fault)
    assert [one for one in seen if one.starts > 1 or not one.settled or one.reported_done != one.truly_done] == []
    failed = [one for one in seen if not one.truly_done]
    assert {one.fault for one in failed} == {Fault.FAILS}
    assert len(seen) - len(failed) >= 0.95 * COUNT
