"""The questions of a stage: the go/no-go gate, a person's approval, and the A/B test."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from release.canary.looks import Stepped, abort, hold, unhold
from release.canary.plan import Plan, StagePlan, next_daily
from release.canary.state import (
    BY_PERSON,
    AbJudged,
    Answers,
    Approved,
    AskGate,
    Command,
    GateAnswered,
    Hold,
    NotNow,
    Phase,
    State,
    Tell,
)

ASK_AGAIN_S = 60.0
BEFORE_THE_FIRST = -1
"""The stage that an approval to begin names."""


def waits_for_person(state: State) -> bool:
    """Whether a hold stands that only a person ends."""
    return bool(BY_PERSON & set(state.holds))


def answered(stage: StagePlan, answers: Answers) -> bool:
    """Whether every question of a stage has a yes."""
    gate = answers.gate is True or not stage.then.gate
    person = bool(answers.approved_by) or stage.then.approval is None
    return gate and person and (answers.ab == "not_worse" or not stage.needs_ab)


def ask(plan: Plan, state: State, stage: StagePlan, at: float) -> Stepped:
    """Ask the gate and the person at the end of a stage; the gate again after a while if its answer was no."""
    commands: tuple[Command, ...] = ()
    if stage.then.gate and state.answers.gate is not True:
        state, commands = _ask_gate(plan, state, at)
    if stage.then.approval is None or state.answers.approved_by:
        return state, commands
    if state.answers.approval_asked_at is None:
        told = Tell(what="canary_approval", text=f"stage {state.stage + 1} waits for an approval")
        return replace(state, answers=replace(state.answers, approval_asked_at=at)), (*commands, told)
    within_s = stage.then.approval.within_s
    if within_s is None or at - state.answers.approval_asked_at < within_s:
        return state, commands
    if stage.then.approval.then == "abort":
        state, more = abort(state, "nobody approved the next stage in time")
    else:
        state, more = hold(state, Hold.APPROVAL, "nobody approved the next stage in time", page=True)
    return state, (*commands, *more)


def _ask_gate(plan: Plan, state: State, at: float) -> Stepped:
    asked_at = state.answers.gate_asked_at
    if asked_at is not None and at - asked_at < max(plan.every_s, ASK_AGAIN_S):
        return state, ()
    return replace(state, answers=replace(state.answers, gate_asked_at=at)), (AskGate(),)


def ask_daily(plan: Plan, state: State, stage: StagePlan, at: float) -> Stepped:
    """Ask each day during the bake. A question that was missed while the engine was down is asked once."""
    commands: tuple[Command, ...] = ()
    if Hold.GATE in state.holds:
        return _ask_gate(plan, state, at)
    if stage.daily is None or state.daily_due is None or at < state.daily_due:
        return state, commands
    state = replace(state, daily_due=next_daily(stage.daily, at, plan.day_s))
    if stage.daily.gate:
        state = replace(state, answers=replace(state.answers, gate_asked_at=at))
        commands = (AskGate(),)
    if stage.daily.approval is not None:
        state, told = hold(state, Hold.APPROVAL, "the rollout waits for its daily approval")
        commands += told
    return state, commands


def gate_answered(_plan: Plan, state: State, event: GateAnswered) -> Stepped:
    """GO ends the gate's hold, and answers the question of a stage's end; anything else holds."""
    if not event.go:
        return hold(state, Hold.GATE, f"the gate does not say GO: {event.why}")
    state = unhold(state, Hold.GATE)
    if state.phase is Phase.EVALUATE:
        state = replace(state, answers=replace(state.answers, gate=True))
    return state, ()


def ab_judged(_plan: Plan, state: State, event: AbJudged) -> Stepped:
    """A worse canary is taken back; without a result at its end, the test holds the rollout."""
    if event.outcome == "worse":
        return abort(state, f"the A/B test found the canary worse: {event.why}")
    state = replace(state, answers=replace(state.answers, ab=event.outcome))
    if event.outcome == "cannot_tell":
        return hold(state, Hold.APPROVAL, f"the A/B test cannot tell: {event.why}", page=True)
    return state, ()


def approved(_plan: Plan, state: State, event: Approved) -> Stepped:
    """Take an approval for this rollout and this stage. Raises NotNow for another one, or while a gate breaches."""
    _check_approval(state, event, state.stage)
    if any(gate.streak for gate in state.gates.values()):
        raise NotNow("a gate is breaching")
    told = Tell(what="canary_approved", text=f"stage {state.stage + 1} approved by {event.by}")
    state = unhold(state, Hold.APPROVAL)
    if state.phase is not Phase.EVALUATE:
        return state, (told,)
    return replace(state, answers=replace(state.answers, approved_by=event.by)), (told,)


def approved_to_begin(begin: Callable[[Plan, State], Stepped]) -> Callable[[Plan, State, Approved], Stepped]:
    """Take the approval that a rollout needs before it begins."""

    def handle(plan: Plan, state: State, event: Approved) -> Stepped:
        """Begin the rollout that waited for this approval."""
        _check_approval(state, event, BEFORE_THE_FIRST)
        if plan.start.approval is None or state.answers.approval_asked_at is None:
            raise NotNow("nothing waits for an approval")
        return begin(plan, replace(state, answers=Answers(approved_by=event.by)))

    return handle


def _check_approval(state: State, event: Approved, stage: int) -> None:
    if (event.rollout, event.stage) != (state.rollout, stage):
        raise NotNow(f"the approval names {event.rollout}, stage {event.stage + 1}, which does not wait")
