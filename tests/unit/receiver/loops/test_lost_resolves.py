"""When the reconciler takes an alert as resolved although no webhook said so."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from receiver.context import Context, PolicyBox
from receiver.decide.model import EpisodeState, new_id
from receiver.faults import Faults
from receiver.journal import Journal
from receiver.loops.reconcile import ABSENT_S, Cluster, Reconciler
from receiver.meters import Meters
from receiver.rollouts import Rollouts
from receiver.steps import pass_by
from tests import journals
from tests.unit.receiver.builders import NOW, alert, episode, policies, policy

pytestmark = pytest.mark.usefixtures("sharing")

GROUP_INTERVAL_S = 10
"""How long after an alert left Alertmanager's API its webhook may come, in the route that we ask people to add."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def passes(self, seconds: float) -> None:
        """Go on."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """It stands at NOW."""
    return Clock()


class Reconciling(Reconciler):
    """A reconciler that is told what Alertmanager says."""

    cluster: Cluster

    async def ask_alertmanagers(self) -> Cluster:
        """What the test says."""
        return self.cluster


@pytest.fixture
async def reconciler(tmp_path: Path, clock: Clock) -> AsyncIterator[Reconciling]:
    """One with an open episode, whose alert Alertmanager knows."""
    journal = Journal(journals.store(tmp_path / "j.db"), clock=clock, reached=pass_by)
    journal.start()
    context = Context(
        journal=journal,
        clock=clock,
        host_clock=clock,
        ids=new_id,
        jitter=lambda: 0.5,
        reached=pass_by,
        box=PolicyBox(policies=policies(policy())),
        meters=Meters(CollectorRegistry()),
        host="here",
        owner="here:1:me",
        runs_dir=tmp_path / "runs",
        rollouts=Rollouts(directory=tmp_path / "runs"),
        faults=Faults(clock),
    )
    await journal.write(lambda tx: tx.add_episode(episode()))
    await journal.write(lambda tx: tx.upsert_alert(alert(), None))
    made = Reconciling(
        context,
        conditions=None,  # type: ignore[arg-type]
        alertmanagers=(),
        every_s=15,
        check_flag=lambda _flag: None,
    )
    made.cluster = known(firing=True)
    yield made
    await journal.close()


def known(*, firing: bool, complete: bool = True) -> Cluster:
    """An answer of all Alertmanagers."""
    found = alert()
    alerts = {found.fingerprint: found} if firing else {}
    return Cluster(alerts=alerts, ours=frozenset(alerts), reachable=True, complete=complete)


async def state_after(reconciler: Reconciling) -> tuple[EpisodeState, list[str]]:
    """The episode's state after one comparison, and the sentences about lost resolves."""
    await reconciler.compare()
    journal = reconciler._context.journal  # noqa: SLF001 - the journal that the reconciler writes
    found = await journal.read(lambda view: (view.live_episodes(), view.decisions()))
    (live,), decisions = found
    return live.state, [one.decision.sentence for one in decisions if "lost" in one.decision.sentence]


async def test_a_resolve_that_is_on_its_way_is_not_lost(reconciler: Reconciling, clock: Clock) -> None:
    """The alert has left the API, and Alertmanager has not yet flushed its group."""
    assert await state_after(reconciler) == (EpisodeState.OPEN, [])
    clock.passes(300)  # the last message is as old as `repeat_interval` lets it become
    reconciler.cluster = known(firing=False)
    assert await state_after(reconciler) == (EpisodeState.OPEN, [])
    clock.passes(GROUP_INTERVAL_S + 1)
    assert await state_after(reconciler) == (EpisodeState.OPEN, [])


async def test_a_resolve_that_never_comes_is_lost(reconciler: Reconciling, clock: Clock) -> None:
    """After the time in which it would have come."""
    clock.passes(300)
    reconciler.cluster = known(firing=False)
    await state_after(reconciler)
    clock.passes(ABSENT_S)
    state, sentences = await state_after(reconciler)
    assert state is EpisodeState.RESOLVING
    assert len(sentences) == 1
    assert "the resolve was lost" in sentences[0]


async def test_the_time_begins_anew_when_the_alert_is_there_or_unknown(reconciler: Reconciling, clock: Clock) -> None:
    """An Alertmanager that flaps, or does not answer, is no lost resolve."""
    clock.passes(300)
    for answer in (known(firing=True), known(firing=False, complete=False)):
        reconciler.cluster = known(firing=False)
        await state_after(reconciler)
        clock.passes(ABSENT_S - 1)
        reconciler.cluster = answer
        await state_after(reconciler)
        clock.passes(1)
    reconciler.cluster = known(firing=False)
    assert await state_after(reconciler) == (EpisodeState.OPEN, [])


async def test_a_new_alert_need_not_be_in_the_api_yet(reconciler: Reconciling, clock: Clock) -> None:
    """Its webhook may overtake what another Alertmanager of the cluster knows."""
    reconciler.cluster = known(firing=False)
    clock.passes(ABSENT_S - 1)
    assert await state_after(reconciler) == (EpisodeState.OPEN, [])
