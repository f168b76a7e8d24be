"""Rollouts whose engine and receiver are killed again and again: what may happen, and what must stand at the end."""

import asyncio
import contextlib
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from receiver.steps import Step
from release.canary.state import Phase
from tests.acceptance.receiver.harness import Receiver, receiver
from tests.acceptance.release.shop import SPEC, Shop, engine, opened
from tests.tools import Generation
from tests.waiting import until

STAGES = """\
    - {weight: 10%, bake: 1s}
    - {weight: 50%, bake: 1s, then: {gate: true}}
    - {weight: 100%, soak: 1s}"""
STAGE_COUNT = 3
QUICK = SPEC.replace("over: 4s", "over: 3s").replace("min_samples: 20", "min_samples: 5")
ENDS_S = 120.0
SAMPLE_S = 0.02


class Kind(Struct, frozen=True, kw_only=True):
    """What a release is like: errs from the stage with this number on; None for a release without errors."""

    errs_from: int | None = None

    @property
    def good(self) -> bool:
        """Whether the release must get all traffic."""
        return self.errs_from is None


class Ended(Struct, kw_only=True):
    """One rollout from its first engine to its end. `engine_kills` and `receiver_kills` name where each kill hit.

    `shares` are the canary's shares as HAProxy had them, and `stages` the stages that began, in order.
    """

    release: str
    kind: Kind
    told_before: int
    engine_kills: list[str]
    receiver_kills: list[str]
    shares: list[float]
    stages: list[int]


@contextlib.asynccontextmanager
async def kill_site(root: Path, generation: Generation, *, stages: str = STAGES) -> AsyncIterator[Shop]:
    """A shop with short windows."""
    async with opened(root, generation, stages=stages, spec=QUICK) as shop:
        yield shop


@contextlib.contextmanager
def watched(shop: Shop) -> Iterator[list[float]]:
    """The canary's share as HAProxy has it, all the time; a share that repeats is listed once."""
    shares: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_S):
            weights = shop.weights()
            share = weights["canary"] / max(1, sum(weights.values()))
            if not shares or shares[-1] != share:
                shares.append(share)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield shares
    finally:
        ended.set()
        thread.join(timeout=10)


async def rolled_out(
    shop: Shop,
    release: str,
    kind: Kind,
    *,
    engine_kills: Sequence[int | str] = (),
    receiver_kills: Sequence[tuple[Step, int]] = (),
) -> Ended:
    """Roll one release out, judge how that went, and tidy up for the next release.

    Each engine dies at its boundary, each receiver at its step; both are started again.
    """
    shop.canary.renamed(release)
    found = Ended(
        release=release,
        kind=kind,
        told_before=len(shop.notices()),
        engine_kills=[],
        receiver_kills=[],
        shares=[],
        stages=[],
    )
    with watched(shop) as shares:
        erring = asyncio.create_task(_err(shop, found))
        ready = asyncio.Event()
        mortal = asyncio.create_task(_receivers(shop, receiver_kills, found, ready))
        try:
            await ready.wait()
            await _engines(shop, engine_kills, found)
            await until(lambda: _last(shop) in shop.notices()[found.told_before :], 30, "people hear of the end")
            found.shares, found.stages = list(shares), stages_begun(shop)
            judge(shop, found)
            await _tidy(shop, found)
        finally:
            for task in (erring, mortal):
                task.cancel()
            await asyncio.gather(erring, mortal, return_exceptions=True)
    return found


async def _tidy(shop: Shop, ended: Ended) -> None:
    """Unfreeze, or give the traffic back to the stable release, so that the next rollout can begin."""
    if ended.kind.good:
        shop.haproxy("set server shop/stable weight 100")
        shop.haproxy("set server shop/canary weight 0")
        (shop.site.root / "service" / "current").write_text("v1\n")
        return
    await until(lambda: receiver_of(shop).operate("unfreeze", service="shop", reason="mended"), 20, "unfrozen")
    flag = shop.site.root / "flags" / "FREEZE.FLAG"
    await until(lambda: not flag.exists(), 20, "the flag is gone")


async def _engines(shop: Shop, kills: Sequence[int | str], found: Ended) -> None:
    """Start the same command until the rollout has ended, as a service manager does."""
    for kill_at in (*kills, None):
        begun = shop.site.root / "engine.log"
        length = begun.stat().st_size if begun.exists() else 0
        with engine(shop, found.release, "--stable", "v1", kill_at=kill_at) as running:
            code = await running.ended(ENDS_S)
        if code != -signal.SIGKILL:
            return
        said = begun.read_bytes()[length:].decode()
        found.engine_kills.append(said.rpartition("killed at ")[2].strip())


async def _err(shop: Shop, ended: Ended) -> None:
    """Let the release err once its stage has begun."""
    if ended.kind.good:
        return
    await until(lambda: _settled(shop, ended), ENDS_S, "the stage begins in which the release errs")
    shop.canary.fail_every = 2


def _settled(shop: Shop, ended: Ended) -> bool:
    found = shop.rollout()
    if found is None or found.release != ended.release or found.state.stage != ended.kind.errs_from:
        return False
    return found.state.phase is Phase.SETTLE


async def _receivers(shop: Shop, kills: Sequence[tuple[Step, int]], found: Ended, ready: asyncio.Event) -> None:
    """Replace the receiver by receivers that kill themselves, and the last one by one that lives."""
    if kills:
        await receiver_of(shop).stop()
    armed = shop.site.root / "armed"
    armed.unlink(missing_ok=True)
    for step, nth in kills:
        async with receiver(shop.site, step=step.value, nth=nth) as shop.receiver:
            ready.set()
            await until(lambda: shop.phase() not in {"", "precheck"}, ENDS_S, "the rollout has begun")
            armed.touch()
            await shop.receiver.died(ENDS_S)
        found.receiver_kills.append(step.value)
    if receiver_of(shop).process.poll() is not None:
        async with receiver(shop.site) as shop.receiver:
            ready.set()
            await asyncio.Event().wait()
    ready.set()


def receiver_of(shop: Shop) -> Receiver:
    """The receiver that runs now, or ran last."""
    assert shop.receiver is not None
    return shop.receiver


def _last(shop: Shop) -> str:
    return {"done": "canary_done", "rolled_back": "canary_rolled_back"}.get(shop.phase(), "")


def judge(shop: Shop, ended: Ended) -> None:
    """The rollout ended as it should: no stage skipped or begun twice, one rollback, each thing told once."""
    found = shop.rollout()
    assert found is not None
    assert found.release == ended.release
    assert found.state.phase.value == ("done" if ended.kind.good else "rolled_back"), found.state.why
    last = STAGE_COUNT - 1 if ended.kind.good else found.state.stage
    assert ended.stages == list(range(last + 1))
    assert found.state.stage >= (ended.kind.errs_from or 0)
    told = Counter(shop.notices()[ended.told_before :])
    assert told["canary_started"] == 1
    assert told["canary_shifted"] == len(ended.stages)
    assert told["canary_done" if ended.kind.good else "canary_rolled_back"] == 1
    assert told["canary_aborted"] == (0 if ended.kind.good else 1)
    assert told["canary_held"] <= len(ended.receiver_kills)
    expected = [] if ended.kind.good else [(ended.release, "SUCCEEDED")]
    assert [one for one in shop.rollbacks() if one[0] == ended.release] == expected
    assert shop.site.lines("rollbacks").count(ended.release) == len(expected)
    assert shop.weights()["canary"] == (100 if ended.kind.good else 0)
    highest = ended.shares.index(max(ended.shares))
    assert ended.shares[: highest + 1] == sorted(ended.shares[: highest + 1])
    assert ended.shares[highest:] == sorted(ended.shares[highest:], reverse=True)


def stages_begun(shop: Shop) -> list[int]:
    """The stages whose watch began, in order."""
    steps = shop.steps()
    before = [("", "", 0), *steps]
    moves = zip(before, steps, strict=False)
    return [stage for (_, was, _), (_, phase, stage) in moves if (was, phase) == ("shift", "settle")]
