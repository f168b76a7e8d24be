"""A person decides to roll back: freeze and rollback once; a running rollout is aborted instead."""

from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from receiver.context import Context
from receiver.decide.by_hand import DECIDED
from receiver.http.incoming import RefusedError
from receiver.http.operate import rollback, unfreeze
from tests.unit.receiver.builders import episode, policies, policy

pytestmark = pytest.mark.usefixtures("sharing")

ASKED = {"service": "gateway", "reason": "errors since 14:05", "by": "Ana"}


class Running(Struct, kw_only=True):
    """Rollouts of which one runs."""

    id: str = "R1"
    runs: bool = True
    asked: list[tuple[Any, ...]] = []

    def of_service(self, _service: str) -> "Running":
        """The rollout."""
        return self

    def ask(self, *asked: Any, at: float) -> None:
        """An event for the engine."""
        self.asked.append((*asked, at))


async def test_freeze_and_rollback_join_the_incident(context: Context) -> None:
    """The rollback names the person, and belongs to the incident about which people were told."""
    context.box.policies = policies(policy())
    await context.journal.write(lambda tx: tx.add_episode(episode()))
    answer = await rollback(context, ASKED)
    actions = await context.journal.read(lambda view: view.actions(episode=answer["episode"]))
    assert {one.type.value for one in actions} == {"freeze", "notify", "rollback"}
    (planned,) = [one for one in actions if one.type.value == "rollback"]
    assert planned.payload[DECIDED] == "Ana"
    opened = await context.journal.read(lambda view: view.episode(answer["episode"]))
    assert opened is not None
    assert (opened.incident, opened.reason) == ("E1", "errors since 14:05 (by Ana)")


async def test_a_second_decision_needs_an_unfreeze_first(context: Context) -> None:
    """Two people who press at the same time mean one rollback."""
    context.box.policies = policies(policy())
    await rollback(context, ASKED)
    with pytest.raises(RefusedError, match="was rolled back by hand already"):
        await rollback(context, ASKED)
    await unfreeze(context, ASKED)
    assert (await rollback(context, ASKED))["episode"]


async def test_a_service_without_a_rollback_is_refused(context: Context) -> None:
    """Nothing is opened."""
    context.box.policies = policies(policy())
    with pytest.raises(RefusedError, match="no policy rolls billing back"):
        await rollback(context, {**ASKED, "service": "billing"})
    assert await context.journal.read(lambda view: view.oldest_live(10)) == []


async def test_a_running_rollout_is_aborted_instead(context: Context) -> None:
    """Its engine takes the traffic away, and reports the abort, which freezes and rolls back."""
    context.box.policies = policies(policy())
    running = Running(asked=[])
    answer = await rollback(replace(context, rollouts=running), ASKED)
    assert (answer["rollout"], answer["episode"]) == ("R1", None)
    (asked,) = running.asked
    assert asked[:3] == ("gateway", "AbortAsked", {"by": "Ana", "reason": "errors since 14:05"})
    assert await context.journal.read(lambda view: view.oldest_live(10)) == []
