"""How a rollout goes from stage to stage: shift, settle, bake, evaluate, soak."""

from __future__ import annotations

from msgspec.structs import replace

from release.canary import asking
from release.canary.looks import Stepped, all_pass, hold, look_for_evidence, unhold, watched_s
from release.canary.plan import Plan, StagePlan, next_daily
from release.canary.state import (
    Answers,
    AskFreeze,
    Command,
    FreezeAsked,
    GateState,
    Hold,
    LowerWeight,
    NotNow,
    Phase,
    Promoted,
    SetWeight,
    Shifted,
    ShiftFailed,
    State,
    Tell,
    Tick,
)


def freeze_asked(plan: Plan, state: State, event: FreezeAsked) -> Stepped:
    """Shift if the service is not frozen; else hold, and ask again at the next look."""
    state, commands = _freeze(state, event)
    if Hold.FROZEN in state.holds or Hold.SOURCE in state.holds or asking.waits_for_person(state):
        return state, commands
    return state, (*commands, SetWeight(weight=plan.stages[state.stage].weight))


def freeze_asked_before_next(plan: Plan, state: State, event: FreezeAsked) -> Stepped:
    """Go to the next stage if the service is not frozen, and nothing else has come between."""
    state, commands = _freeze(state, event)
    if state.holds or not _ready(plan, state):
        return state, commands
    stage = state.stage + 1
    state = replace(state, phase=Phase.SHIFT, stage=stage, answers=Answers(), daily_due=None)
    return state, (*commands, SetWeight(weight=plan.stages[stage].weight))


def _freeze(state: State, event: FreezeAsked) -> Stepped:
    if event.frozen is None:
        return hold(state, Hold.SOURCE, f"nobody can tell whether the weight may be raised: {event.why}", page=True)
    if event.frozen:
        return hold(state, Hold.FROZEN, "the service is frozen")
    return unhold(state, Hold.FROZEN, Hold.SOURCE), ()


def shifted(plan: Plan, state: State, event: Shifted) -> Stepped:
    """The stage begins: nothing measured before counts."""
    weight = plan.stages[state.stage].weight
    told = Tell(what="canary_shifted", text=f"{weight:.2%} of the traffic go to {state.release}")
    state = replace(
        unhold(state, Hold.SOURCE, Hold.SHIFT, Hold.WEIGHT, Hold.NO_DATA),
        phase=Phase.SETTLE,
        weight=weight,
        shifted_at=event.at,
        traffic_since=event.at if state.traffic_since is None else state.traffic_since,
        baked_s=0.0,
        gates={name: GateState() for name in plan.gates},
    )
    return state, (told,)


def shift_failed(_plan: Plan, state: State, event: ShiftFailed) -> Stepped:
    """Hold and page; the next look reads the weight and tries again."""
    return hold(state, Hold.SHIFT, f"the weight could not be set: {event.why}", page=True)


def shift_again(plan: Plan, state: State, tick: Tick) -> Stepped:
    """Read how far the shift came: done, not begun, or another weight, which only a person may explain."""
    target = plan.stages[state.stage].weight
    if tick.weight is None:
        text = "the proxy does not answer"
        if plan.chooses_users and state.weight == 0:
            text += "; chosen users may still get the release, until the proxy answers"
        return hold(replace(state, unsure=state.weight == 0), Hold.SOURCE, text, page=True)
    if tick.weight == target:
        return shifted(plan, state, Shifted(at=tick.at))
    clear: tuple[Command, ...] = ()
    if state.unsure:
        # Weight 0 set once more takes chosen users off the canary, whatever holds the shift.
        state, clear = replace(state, unsure=False), (LowerWeight(weight=state.weight),)
    if not min(state.weight, target) <= tick.weight <= target:
        text = f"the proxy uses the weight {tick.weight:.2%}, not {target:.2%}"
        state, told = hold(state, Hold.WEIGHT, text, page=True)
        return state, ((LowerWeight(weight=state.weight), *told) if tick.weight > target else told)
    again = () if asking.waits_for_person(state) else (AskFreeze(),)
    held = state.holds or tick.away or tick.frozen is not False
    # A kill in the middle of the shift, or a hand, left more than the stage before has: a hold keeps the latter.
    lower = (LowerWeight(weight=state.weight),) if held and tick.weight > state.weight else ()
    return state, (*(clear or lower), *again)


def go_on(plan: Plan, before: State, state: State, tick: Tick) -> Stepped:
    """What a watched phase does after a look. `before` is the state before the look, with its holds."""
    stage = plan.stages[state.stage]
    match state.phase:
        case Phase.SETTLE:
            if state.shifted_at is None or tick.at - state.shifted_at < plan.settle_s:
                return state, ()
            due = next_daily(stage.daily, tick.at, plan.day_s) if stage.daily is not None else None
            return replace(state, phase=Phase.SOAK if stage.soak else Phase.BAKE, baked_s=0.0, daily_due=due), ()
        case Phase.BAKE | Phase.SOAK:
            counted_s = 0.0 if before.holds else watched_s(plan, state, tick)
            state = replace(state, baked_s=state.baked_s + counted_s)
            state, commands = asking.ask_daily(plan, state, stage, tick.at)
            if not _baked(plan, state, stage):
                return state, commands
            state, more = look_for_evidence(plan, state)
            commands += more
            if state.holds:
                return state, commands
            state, more = _evaluate(plan, replace(state, phase=Phase.EVALUATE), stage, tick.at)
            return state, (*commands, *more)
        case _:
            return _evaluate(plan, state, stage, tick.at)


def _baked(plan: Plan, state: State, stage: StagePlan) -> bool:
    """Whether the stage was watched for long enough, and every gate passed often enough."""
    if state.baked_s < stage.watch_s or state.holds.keys() - {Hold.EVIDENCE}:
        return False
    return all(state.gates.get(name, GateState()).passes >= stage.least_passes for name in plan.gates)


def _evaluate(plan: Plan, state: State, stage: StagePlan, at: float) -> Stepped:
    """Ask what the stage asks at its end; with every answer and every gate at PASS, go on."""
    state, commands = asking.ask(plan, state, stage, at)
    if state.phase is Phase.ABORTING or state.holds or not _ready(plan, state):
        return state, commands
    if state.stage + 1 == len(plan.stages):
        told = Tell(what="canary_done", text=f"{state.release} has all traffic, and its watch is over")
        return replace(state, phase=Phase.DONE), (*commands, told)
    return state, (*commands, AskFreeze())


def _ready(plan: Plan, state: State) -> bool:
    return all_pass(plan, state) and asking.answered(plan.stages[state.stage], state.answers)


def promoted(plan: Plan, state: State, event: Promoted) -> Stepped:
    """End the bake and answer the stage's questions. Raises NotNow while a gate does not pass, or the rollout holds.

    A stage that holds because its events prove too little is promoted all the same: the person has decided.
    """
    state = unhold(state, Hold.EVIDENCE)
    if state.holds:
        raise NotNow(f"the rollout is held: {'; '.join(state.holds.values())}")
    if not all_pass(plan, state):
        raise NotNow("not every gate's last verdict is PASS")
    answers = Answers(gate=True, approved_by=event.by, ab="not_worse")
    told = Tell(what="canary_promoted", text=f"promoted by {event.by}")
    return replace(state, phase=Phase.EVALUATE, answers=answers), (told,)
