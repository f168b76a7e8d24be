"""Feature flags follow freezes: set once, taken back once, and never over a person's change."""

import json
from pathlib import Path
from typing import Any

import pytest

from freezeline.problems import Problems
from receiver.act import switch
from receiver.context import Context
from receiver.decide import plan
from receiver.decide.model import NO_TRACE, Action, ActionState, ActionType, Episode, EpisodeState, new_id
from receiver.decide.plan import Known, Moved
from receiver.journal import Tx
from receiver.journal.record import record
from receiver.policy.model import Policies
from receiver.policy.read import parse_policy
from tests.unit.receiver.builders import alert, raw_policy

EVENTS = ["feature_flag_set", "feature_flag_back", "feature_flag_kept", "feature_flag_failed"]


def flags(**defaults: str) -> str:
    """A file of feature flags with these default variants."""
    variants = {"on": "on", "off": "off", "local": "local"}
    return json.dumps(
        {
            "flags": {
                name: {"state": "ENABLED", "variants": variants, "defaultVariant": d} for name, d in defaults.items()
            }
        }
    )


class World:
    """A file of feature flags, a policy, and the receiver's parts."""

    def __init__(self, context: Context, file: Path) -> None:
        self.context = context
        self.file = file
        file.write_text(flags(fallback="off", other="off"))

    def load(self, **variants: str) -> None:
        """One rule for each name, which sets the flag `fallback` to this variant."""
        raw = raw_policy()
        rules, actions = [], {"tell": {"type": "notify", "channels": ["log"], "events": EVENTS}}
        for name, variant in variants.items():
            match = [{"label": "alertname", "op": "=", "value": name}]
            rules.append({"id": name, "match": match, "do": [name, "tell"]})
            actions[name] = {"type": "switch", "file": str(self.file), "flag": "fallback", "variant": variant}
        self.adopt(raw | {"rules": rules, "actions": actions})

    def adopt(self, raw: dict[str, Any]) -> None:
        """Put a policy in force."""
        problems = Problems()
        policy = parse_policy(json.dumps(raw), file="p", channels=None, problems=problems)
        assert policy is not None, list(problems)
        self.context.box.policies = Policies(in_force=(policy,), by_sha256={policy.sha256: policy})

    async def fire(self, name: str) -> Episode:
        """An alert that one rule matches."""
        context, policies = self.context, self.context.box.policies
        fired = alert(labels={"alertname": name, "service": "gateway"}, fingerprint=name)

        def work(tx: Tx) -> plan.Opened:
            known = Known(incident=tx.incident)
            (opened,) = plan.on_firing(fired, known, policies, now=tx.now, ids=new_id, trace=NO_TRACE)
            assert isinstance(opened, plan.Opened)
            record(tx, [opened], policies, ids=new_id, trace=NO_TRACE)
            return opened

        opened = await context.journal.write(work)
        return opened.episode

    async def close(self, episode: Episode) -> None:
        """The episode ends."""
        policies = self.context.box.policies
        moved = [
            Moved(episode=episode, to=EpisodeState.CLOSED, sentence="the alert stayed resolved"),
        ]
        await self.context.journal.write(lambda tx: record(tx, moved, policies, ids=new_id, trace=NO_TRACE))

    async def carry_out(self) -> None:
        """What the worker does with the lane."""
        await switch.perform(self.context, str(self.file), ())

    def default(self, flag: str = "fallback") -> str:
        """The default variant in the file."""
        found: Any = json.loads(self.file.read_text())["flags"][flag]["defaultVariant"]
        return str(found)

    async def states(self, kind: ActionType) -> list[ActionState]:
        """States of all actions of a type, newest first."""
        return [one.state for one in await self.actions(kind)]

    async def actions(self, kind: ActionType) -> list[Action]:
        """All actions of a type, newest first."""
        return await self.context.journal.read(lambda journal: journal.actions(type=kind))

    async def told(self) -> list[str]:
        """Events that people were told."""
        return sorted(one.payload["event"] for one in await self.actions(ActionType.NOTIFY))


@pytest.fixture
def world(context: Context, tmp_path: Path) -> World:
    """A world whose rule `Bad` sets the flag to `on`, and whose rule `Worse` sets it to `local`."""
    made = World(context, tmp_path / "flags.json")
    made.load(Bad="on", Worse="local")
    return made


async def test_a_flag_is_set_and_taken_back_once(world: World) -> None:
    """Nothing else in the file changes, and each end is told."""
    episode = await world.fire("Bad")
    await world.carry_out()
    assert (world.default(), world.default("other")) == ("on", "off")
    written = world.file.stat().st_mtime_ns
    await world.carry_out()
    assert world.file.stat().st_mtime_ns == written
    await world.close(episode)
    await world.carry_out()
    await world.carry_out()
    assert world.file.read_text() == flags(fallback="off", other="off")
    assert await world.states(ActionType.SWITCH) == [ActionState.SUCCEEDED]
    assert await world.states(ActionType.SWITCH_BACK) == [ActionState.SUCCEEDED]
    assert await world.told() == ["feature_flag_back", "feature_flag_set"]


async def test_the_flag_stays_until_its_last_holder_ends(world: World) -> None:
    """The newest holder decides the variant; with its end, an older holder's variant comes back."""
    first = await world.fire("Bad")
    await world.carry_out()
    second = await world.fire("Worse")
    await world.carry_out()
    assert world.default() == "local"
    await world.close(second)
    await world.carry_out()
    assert world.default() == "on"
    await world.close(first)
    await world.carry_out()
    assert world.default() == "off"
    assert await world.told() == ["feature_flag_back", "feature_flag_set"]


async def test_many_alerts_share_one_switch(world: World) -> None:
    """The flag goes back with the last of them, whichever of them began the switch."""
    raw = json.loads(json.dumps(raw_policy()))
    rule = {"id": "any", "match": [{"label": "service", "op": "=", "value": "gateway"}], "do": ["set"]}
    one = {"type": "switch", "file": str(world.file), "flag": "fallback", "variant": "on"}
    world.adopt(raw | {"rules": [rule], "actions": {"set": one}})
    episodes = [await world.fire(f"Bad{number}") for number in range(5)]
    await world.carry_out()
    assert await world.states(ActionType.SWITCH) == [ActionState.SUCCEEDED]
    late = await world.fire("BadLate")
    for episode in episodes:
        await world.close(episode)
        await world.carry_out()
        assert world.default() == "on"
    await world.close(late)
    await world.carry_out()
    assert world.default() == "off"
    assert await world.states(ActionType.SWITCH_BACK) == [ActionState.SUCCEEDED]
    again = await world.fire("BadAgain")
    await world.carry_out()
    assert world.default() == "on"
    await world.close(again)
    await world.carry_out()
    assert world.default() == "off"


async def test_holders_may_end_in_any_order(world: World) -> None:
    """The value from before all holders comes back."""
    first, second = await world.fire("Bad"), await world.fire("Worse")
    await world.carry_out()
    await world.close(first)
    await world.carry_out()
    assert world.default() == "local"
    await world.close(second)
    await world.carry_out()
    assert world.default() == "off"


async def test_a_person_s_change_of_the_flag_stays_and_is_told(world: World) -> None:
    """The receiver does not know better than the person who changed the flag during the freeze."""
    episode = await world.fire("Bad")
    await world.carry_out()
    world.file.write_text(flags(fallback="local", other="on"))
    await world.close(episode)
    await world.carry_out()
    assert world.default() == "local"
    assert await world.told() == ["feature_flag_kept", "feature_flag_set"]
    (back,) = await world.actions(ActionType.SWITCH_BACK)
    assert "somebody changed fallback meanwhile" in back.result["sentence"]


async def test_a_person_s_change_of_other_flags_stays(world: World) -> None:
    """The flag goes back in the file that the person wrote."""
    episode = await world.fire("Bad")
    await world.carry_out()
    world.file.write_text(flags(fallback="on", other="local"))
    await world.close(episode)
    await world.carry_out()
    assert world.file.read_text() == flags(fallback="off", other="local")


async def test_a_flag_that_is_gone_from_the_file_is_no_failure(world: World) -> None:
    """A person removed the flag: nothing to take back."""
    episode = await world.fire("Bad")
    await world.carry_out()
    world.file.write_text(flags(other="on"))
    await world.close(episode)
    await world.carry_out()
    assert await world.told() == ["feature_flag_kept", "feature_flag_set"]
    assert world.file.read_text() == flags(other="on")


async def test_a_failure_is_told_once_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is set as soon as the file is mended, and health shows the fault until then."""
    monkeypatch.setattr(switch, "RETRY_S", 0.0)
    world.file.write_text("{")
    await world.fire("Bad")
    await world.carry_out()
    await world.carry_out()
    assert await world.states(ActionType.SWITCH) == [ActionState.RETRY_WAIT]
    assert await world.told() == ["feature_flag_failed"]
    assert "not JSON" in world.context.faults.said("switch")
    world.file.write_text(flags(fallback="off"))
    await world.carry_out()
    assert world.default() == "on"
    assert world.context.faults.said("switch") == ""
    assert await world.states(ActionType.SWITCH) == [ActionState.SUCCEEDED]


async def test_a_flag_that_could_not_be_set_before_the_end_is_not_set(world: World) -> None:
    """The freeze is over: nobody wants the flag any more."""
    good = world.file.read_text()
    world.file.unlink()
    episode = await world.fire("Bad")
    await world.carry_out()
    await world.close(episode)
    world.file.write_text(good)
    await world.carry_out()
    assert world.file.read_text() == good
    assert await world.states(ActionType.SWITCH) == [ActionState.CANCELLED]
    assert await world.states(ActionType.SWITCH_BACK) == [ActionState.SUCCEEDED]


async def test_a_flag_that_had_the_value_before_keeps_the_value(world: World) -> None:
    """A person had set the flag already. The end of the freeze does not take this away."""
    world.file.write_text(flags(fallback="on", other="off"))
    written = world.file.stat().st_mtime_ns
    episode = await world.fire("Bad")
    await world.carry_out()
    await world.close(episode)
    await world.carry_out()
    assert world.default() == "on"
    assert world.file.stat().st_mtime_ns == written


async def test_two_flags_of_one_file_are_told_apart(world: World) -> None:
    """One flag that fails does not keep the other from being set."""
    raw = raw_policy()
    rule = {"id": "both", "match": [{"label": "alertname", "op": "=", "value": "Bad"}], "do": ["a", "b", "tell"]}
    one = {"type": "switch", "file": str(world.file), "variant": "on"}
    actions = {"a": {**one, "flag": "missing"}, "b": {**one, "flag": "other"}}
    tell = {"type": "notify", "channels": ["log"], "events": EVENTS}
    world.adopt(raw | {"rules": [rule], "actions": {**actions, "tell": tell}})
    await world.fire("Bad")
    await world.carry_out()
    assert world.default("other") == "on"
    assert await world.told() == ["feature_flag_failed", "feature_flag_set"]
