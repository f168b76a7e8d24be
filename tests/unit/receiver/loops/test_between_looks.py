"""What changes between a loop's look at the journal and its write is seen by the write."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from receiver.context import Context
from receiver.decide.model import EpisodeState
from receiver.journal import View
from receiver.loops.conditions import Judgement
from receiver.loops.escalator import Escalator
from receiver.loops.policies import adopt
from receiver.loops.reconcile import Reconciler
from receiver.policy.directory import Loaded
from receiver.policy.model import Condition, Escalation
from tests.unit.receiver.builders import CHANNELS, episode, policies, policy, raw_policy

pytestmark = pytest.mark.usefixtures("sharing")

T = TypeVar("T")

CONDITION = {"id": "budget", "query": "budget", "op": ">", "value": "0.5"}


class Meanwhile:
    """A Prometheus while whose answer is on its way the journal changes."""

    def __init__(self, change: Callable[[], Any]) -> None:
        self._change = change

    async def judge(self, _condition: Condition, _now: datetime) -> Judgement:
        """Say yes, after the change."""
        await self._change()
        return Judgement(true=True, why="")


def policy_with_condition() -> Any:
    """A policy whose freeze ends by a query."""
    (rule,) = raw_policy()["rules"]
    unfreeze = {"resolved_for_s": 300, "all_of": [CONDITION], "review_after_s": 86400}
    return policy(rules=[{**rule, "unfreeze": unfreeze}])


async def kept_time(context: Context, change: Callable[[], Any]) -> None:
    """One pass over what is due, with a change while Prometheus is asked."""
    context.box.policies = policies(policy_with_condition())
    opened = episode(policy_sha256=policy_with_condition().sha256)
    await context.journal.write(lambda tx: tx.add_episode(opened))
    await context.journal.write(lambda tx: tx.move_episode(opened, EpisodeState.RESOLVING))
    reconciler = Reconciler(
        context,
        conditions=Meanwhile(change),  # type: ignore[arg-type]
        alertmanagers=(),
        every_s=60,
        check_flag=lambda _flag: None,
    )
    await reconciler.keep_time()


async def held(context: Context) -> dict[str, tuple[datetime, datetime]]:
    """Since when the rule's conditions have been true."""
    sha256 = policy_with_condition().sha256
    return await context.journal.read(lambda view: view.condition_held(sha256, "failure-rate-high"))


async def test_a_condition_counts_while_the_alert_is_resolved(context: Context) -> None:
    """Nothing changes: the time since which the condition is true is stored."""

    async def nothing() -> None:
        return None

    await kept_time(context, nothing)
    assert list(await held(context)) == ["budget"]


async def test_a_condition_does_not_count_once_the_alert_fires_again(context: Context) -> None:
    """The episode is opened again while Prometheus is asked: what Prometheus said belongs to the past."""

    async def reopen() -> None:
        opened = await context.journal.read(lambda view: view.episode("E1"))
        assert opened is not None
        await context.journal.write(lambda tx: tx.move_episode(opened, EpisodeState.OPEN))

    await kept_time(context, reopen)
    assert await held(context) == {}
    assert [one.state for one in await context.journal.read(lambda view: view.live_episodes())] == [EpisodeState.OPEN]


@pytest.mark.parametrize("acknowledged", [False, True], ids=["unacknowledged", "acknowledged"])
async def test_an_acknowledgement_between_look_and_write_stops_escalation(
    context: Context, monkeypatch: pytest.MonkeyPatch, *, acknowledged: bool
) -> None:
    """The escalator finds a level due; before it writes, somebody acknowledges."""
    severities = frozenset({"critical"})
    first = Escalation(level=1, after_s=0, channels=("log",), severities=severities, to="on call", ask="look")
    escalating = replace(policy(), escalation=(first,))
    context.box.policies = policies(escalating)
    await context.journal.write(lambda tx: tx.add_episode(episode(policy_sha256=escalating.sha256)))
    read = context.journal.read

    async def read_then_acknowledge(question: Callable[[View], T]) -> T:
        found = await read(question)
        if acknowledged:
            await context.journal.write(lambda tx: tx.acknowledge("E1", "alice"))
        return found

    monkeypatch.setattr(context.journal, "read", read_then_acknowledge)
    await Escalator(context)._look()  # noqa: SLF001 - one look, which a started escalator repeats
    told = await read(lambda view: [action.name for action in view.actions(episode="E1")])
    assert told == ([] if acknowledged else ["log"])


async def test_policies_are_put_in_force_once(context: Context) -> None:
    """Two that load the same policies at the same time leave one decision."""
    loaded = Loaded(policies={"failure-budget": (policy(), "{}")})
    await asyncio.gather(*(adopt(context, loaded, channels=CHANNELS) for _ in range(2)))
    kinds = await context.journal.read(lambda view: [one.decision.kind for one in view.decisions()])
    assert kinds == ["policies"]
