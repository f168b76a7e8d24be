"""The rollout as a state machine: `step(plan, state, event)` gives the next state, and the commands to obey.

The function is pure. The engine stores the state before it obeys a command. A killed engine begins again with
`Started`, and neither skips a stage nor shifts twice. `TABLE` says which event means what in which phase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from release.canary import asking, stages
from release.canary.looks import Stepped, abort, hold, look, unhold
from release.canary.plan import Plan
from release.canary.state import (
    BY_PERSON,
    WATCHED,
    AbJudged,
    AbortAsked,
    Approved,
    AskFreeze,
    Check,
    Checked,
    Cut,
    CutTraffic,
    Deploy,
    Deployed,
    Event,
    FreezeAsked,
    GateAnswered,
    GateState,
    Hold,
    LowerWeight,
    NewRelease,
    NotNow,
    Paused,
    Phase,
    Promoted,
    Resumed,
    RollBack,
    RollbackEnded,
    Shifted,
    ShiftFailed,
    Started,
    State,
    Tell,
    Tick,
    Watched,
)

__all__ = ["TABLE", "NotNow", "step"]


def step(plan: Plan, state: State, event: Event) -> Stepped:
    """The state after an event, and the commands that follow.

    An answer that comes too late changes nothing. Raises NotNow for what a person asks at a moment when that cannot be.
    """
    handler = TABLE.get((state.phase, type(event)))
    if handler is not None:
        return handler(plan, state, event)
    if isinstance(event, Approved | Paused | Resumed | Promoted | AbortAsked | NewRelease):
        raise NotNow(f"the rollout is in the phase {state.phase.value}")
    return state, ()


def _begin_check(_plan: Plan, state: State, _event: Started) -> Stepped:
    """Check once more before anything is touched."""
    return state, (Check(),)


def _checked(plan: Plan, state: State, event: Checked) -> Stepped:
    """Refuse the release for the reasons given, else ask for the first approval, or deploy."""
    if event.reasons:
        why = "; ".join(event.reasons)
        return replace(state, phase=Phase.REFUSED, why=why), (Tell(what="canary_refused", text=why),)
    if plan.start.approval is not None and not state.answers.approved_by:
        return state, (Tell(what="canary_approval", text="the rollout waits for an approval to begin"),)
    return _to_deploy(plan, state)


def _to_deploy(plan: Plan, state: State) -> Stepped:
    told = Tell(what="canary_started", text=f"the rollout of {state.release} begins")
    if not plan.deploys:
        return replace(state, phase=Phase.SHIFT), (told, AskFreeze())
    return replace(state, phase=Phase.DEPLOY), (told, Deploy())


def _deploy_again(_plan: Plan, state: State, _event: Started) -> Stepped:
    """Run the deploy command again: nobody saw how it ended."""
    return state, (Deploy(),)


def _deployed(_plan: Plan, state: State, event: Deployed) -> Stepped:
    """Ask for the freeze before the first shift; abort after a failed deploy."""
    if event.why:
        return abort(state, f"the deploy command failed: {event.why}")
    return replace(state, phase=Phase.SHIFT), (AskFreeze(),)


def _tick_in_precheck(plan: Plan, state: State, event: Tick) -> Stepped:
    """Wait for the approval to begin."""
    approval = plan.start.approval
    if approval is None or state.answers.approved_by:
        return state, ()
    asked_at = state.answers.approval_asked_at
    if asked_at is None:
        return replace(state, answers=replace(state.answers, approval_asked_at=event.at)), ()
    if approval.within_s is not None and approval.then == "abort" and event.at - asked_at >= approval.within_s:
        why = "nobody approved the rollout in time"
        return replace(state, phase=Phase.REFUSED, why=why), (Tell(what="canary_refused", text=why),)
    return state, ()


def _tick_in_watch(plan: Plan, state: State, event: Tick) -> Stepped:
    """Judge the gates; then let the phase go on."""
    before = state
    state, commands = look(plan, state, event)
    if state.phase is not Phase.ABORTING:
        state, more = stages.go_on(plan, before, state, event)
        commands += more
    return replace(state, ticked_at=event.at), commands


def _tick_in_shift(plan: Plan, state: State, event: Tick) -> Stepped:
    """Judge the gates of the weight before, and try to shift again."""
    commands: tuple[Any, ...] = ()
    if state.weight > 0:
        state, commands = look(plan, state, event)
        if state.phase is Phase.ABORTING:
            return replace(state, ticked_at=event.at), commands
    state, more = stages.shift_again(plan, state, event)
    return replace(state, ticked_at=event.at), (*commands, *more)


def _started_in_watch(_plan: Plan, state: State, _event: Started) -> Stepped:
    """Nothing was lost: the next look reads the weight."""
    return state, ()


def _started_in_shift(plan: Plan, state: State, event: Started) -> Stepped:
    """Take a shift that has happened, lower a weight that is too high; the next look, which asks everybody, shifts.

    Before the first shift, a kill may have left chosen users on the canary: at weight 0, set the 0 once more.
    """
    if event.weight == state.weight == 0:
        return state, (LowerWeight(weight=state.weight),)
    if event.weight is not None and state.weight <= event.weight < plan.stages[state.stage].weight:
        return state, ()
    return stages.shift_again(plan, state, Tick(at=event.at, weight=event.weight, measured=()))


def _started_in_end(_plan: Plan, state: State, _event: Started) -> Stepped:
    """Cut the traffic once more, and ask for the rollback once more: both are safe to repeat."""
    again = (RollBack(reason=state.why),) if state.rollback_asked and state.rollback_ended is None else ()
    return state, (CutTraffic(), *again)


def _tick_in_end(_plan: Plan, state: State, event: Tick) -> Stepped:
    """Cut the traffic again while that has not succeeded, or where the weight came back."""
    if state.cut and event.weight in (0, None):
        return state, ()
    return replace(state, cut=False), (CutTraffic(),)


def _cut(_plan: Plan, state: State, event: Cut) -> Stepped:
    """Ask for the rollback, whether the traffic could be cut or not; end where both are done."""
    commands: tuple[Any, ...] = ()
    if event.why:
        state, commands = hold(state, Hold.SOURCE, f"the canary still has traffic: {event.why}", page=True)
    else:
        state = replace(unhold(state, Hold.SOURCE), cut=True, weight=state.weight * 0)
    if not state.rollback_asked:
        return replace(state, rollback_asked=True), (*commands, RollBack(reason=state.why))
    return _end_of_abort(state, commands)


def _rollback_ended(_plan: Plan, state: State, event: RollbackEnded) -> Stepped:
    """Keep how the rollback ended; the rollout ends once the traffic is cut, too."""
    return _end_of_abort(replace(state, rollback_ended=event.why), ())


def _end_of_abort(state: State, commands: tuple[Any, ...]) -> Stepped:
    if not state.cut or state.rollback_ended is None:
        return state, commands
    if state.rollback_ended:
        told = Tell(what="canary_rollback_failed", text=state.rollback_ended, page=True)
        return replace(state, phase=Phase.ROLLBACK_FAILED, holds={}), (*commands, told)
    told = Tell(what="canary_rolled_back", text=f"{state.release} is rolled back: {state.why}")
    return replace(state, phase=Phase.ROLLED_BACK, holds={}), (*commands, told)


def _cut_for_successor(_plan: Plan, state: State, event: Cut) -> Stepped:
    """End the rollout once no traffic is left on it."""
    if event.why:
        return hold(state, Hold.SOURCE, f"the canary still has traffic: {event.why}", page=True)
    return replace(state, phase=Phase.SUPERSEDED, cut=True, weight=state.weight * 0, holds={}), ()


def _abort_asked(_plan: Plan, state: State, event: AbortAsked) -> Stepped:
    """Take the release back, because a person says so."""
    return abort(state, f"{event.by}: {event.reason}")


def _refuse_asked(_plan: Plan, state: State, event: AbortAsked) -> Stepped:
    """End the rollout: nothing was touched yet."""
    why = f"{event.by}: {event.reason}"
    return replace(state, phase=Phase.REFUSED, why=why), (Tell(what="canary_refused", text=why),)


def _superseded_early(_plan: Plan, state: State, event: NewRelease) -> Stepped:
    """End the rollout for the new release: nothing was touched yet."""
    return replace(state, phase=Phase.SUPERSEDED, why=f"superseded by {event.release}"), ()


def _supersede(_plan: Plan, state: State, event: NewRelease) -> Stepped:
    """Take the traffic off this release, for the new one."""
    why = f"superseded by {event.release}"
    told = Tell(what="canary_superseded", text=why)
    return replace(state, phase=Phase.SUPERSEDING, why=why, holds={}, cut=False), (CutTraffic(), told)


def _paused(_plan: Plan, state: State, event: Paused) -> Stepped:
    """Hold until a person resumes."""
    return hold(state, Hold.PAUSED, f"paused by {event.by}")


def _resumed(_plan: Plan, state: State, event: Resumed) -> Stepped:
    """End the holds that wait for a person. A weight that differs is set anew, and the stage begins again."""
    if not BY_PERSON & set(state.holds):
        raise NotNow("the rollout is not held by anything that a person ends")
    wrong_weight = Hold.WEIGHT in state.holds
    # A broken bound was seen by the person, so the stage is judged anew; after a pause, its evidence stays.
    judged_anew = {Hold.BREACH, Hold.WEIGHT} & set(state.holds)
    gates = {name: _without_row(gate, judged_anew=bool(judged_anew)) for name, gate in state.gates.items()}
    told = Tell(what="canary_resumed", text=f"resumed by {event.by}")
    state = replace(unhold(state, *BY_PERSON), gates=gates)
    if wrong_weight:
        return replace(state, phase=Phase.SHIFT), (told, AskFreeze())
    return state, (told,)


def _without_row(gate: GateState, *, judged_anew: bool) -> GateState:
    return replace(gate, streak=0, watched=Watched() if judged_anew else gate.watched)


Handler = Callable[[Plan, State, Any], Stepped]
TABLE: Mapping[tuple[Phase, type[Event]], Handler] = {
    (Phase.PRECHECK, Started): _begin_check,
    (Phase.PRECHECK, Checked): _checked,
    (Phase.PRECHECK, Tick): _tick_in_precheck,
    (Phase.PRECHECK, Approved): asking.approved_to_begin(_to_deploy),
    (Phase.PRECHECK, AbortAsked): _refuse_asked,
    (Phase.PRECHECK, NewRelease): _superseded_early,
    (Phase.DEPLOY, Started): _deploy_again,
    (Phase.DEPLOY, Deployed): _deployed,
    (Phase.SHIFT, Started): _started_in_shift,
    (Phase.SHIFT, FreezeAsked): stages.freeze_asked,
    (Phase.SHIFT, Shifted): stages.shifted,
    (Phase.SHIFT, ShiftFailed): stages.shift_failed,
    (Phase.SHIFT, Tick): _tick_in_shift,
    (Phase.EVALUATE, FreezeAsked): stages.freeze_asked_before_next,
    (Phase.EVALUATE, Promoted): stages.promoted,
    (Phase.BAKE, Promoted): stages.promoted,
    (Phase.SOAK, Promoted): stages.promoted,
    **{(phase, Started): _started_in_watch for phase in WATCHED},
    **{(phase, Tick): _tick_in_watch for phase in WATCHED},
    **{(phase, GateAnswered): asking.gate_answered for phase in WATCHED},
    **{(phase, AbJudged): asking.ab_judged for phase in WATCHED},
    **{(phase, Approved): asking.approved for phase in WATCHED},
    **{(phase, Paused): _paused for phase in {*WATCHED, Phase.SHIFT}},
    **{(phase, Resumed): _resumed for phase in {*WATCHED, Phase.SHIFT}},
    **{(phase, AbortAsked): _abort_asked for phase in {*WATCHED, Phase.SHIFT, Phase.DEPLOY, Phase.SUPERSEDING}},
    **{(phase, NewRelease): _supersede for phase in {*WATCHED, Phase.SHIFT, Phase.DEPLOY}},
    **{(phase, Started): _started_in_end for phase in (Phase.ABORTING, Phase.SUPERSEDING)},
    **{(phase, Tick): _tick_in_end for phase in (Phase.ABORTING, Phase.SUPERSEDING)},
    (Phase.ABORTING, Cut): _cut,
    (Phase.ABORTING, RollbackEnded): _rollback_ended,
    (Phase.SUPERSEDING, Cut): _cut_for_successor,
}
"""Phase and event → what happens. A person's event that is missing here is refused; other events come too late."""
