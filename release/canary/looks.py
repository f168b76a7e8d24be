"""One look at a canary with traffic: the weight, the alerts, the gates, and the time that counts as watched."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from receiver.figures import figure
from release.canary.plan import Plan
from release.canary.state import (
    Answers,
    Command,
    CutTraffic,
    GateState,
    Hold,
    LowerWeight,
    Phase,
    State,
    Tell,
    Tick,
)
from release.canary.verdict import Measured, Verdict
from release.canary.whole_stage import added, breaks, proven

Stepped = tuple[State, tuple[Command, ...]]
EARLY = 0.1
"""How much of an interval a look may come too early."""


def hold(state: State, kind: Hold, text: str, *, page: bool = False) -> Stepped:
    """Hold the rollout for one more reason. People are told when the reason is new."""
    if kind in state.holds:
        return state, ()
    told = Tell(what="canary_held", text=text, page=page)
    return replace(state, holds={**state.holds, kind: text}), (told,)


def unhold(state: State, *kinds: Hold) -> State:
    """End holds."""
    if not any(kind in state.holds for kind in kinds):
        return state
    return replace(state, holds={kind: text for kind, text in state.holds.items() if kind not in kinds})


def abort(state: State, why: str) -> Stepped:
    """Begin to take the release back: traffic first."""
    told = Tell(what="canary_aborted", text=why, page=True)
    return replace(state, phase=Phase.ABORTING, holds={}, why=why, cut=False), (CutTraffic(), told)


def look(plan: Plan, state: State, tick: Tick) -> Stepped:
    """What one look changes: holds, rows of breaches, or an abort. The caller advances the phase afterwards."""
    state, commands = _look_around(state, tick)
    state, more = _look_at_weight(state, tick.weight)
    commands += more
    if tick.firing:
        ended, last = abort(state, f"alerts fire: {', '.join(tick.firing)}")
        return ended, (*commands, *last)
    state, more = _look_at_gates(plan, state, tick)
    return state, (*commands, *more)


def _look_around(state: State, tick: Tick) -> Stepped:
    """Sources that do not answer, and the service's freeze."""
    commands: tuple[Command, ...] = ()
    away = tick.away or ("" if tick.frozen is not None else "nobody can tell whether the service is frozen")
    if tick.weight is None:
        away = away or "the proxy does not answer"
    if away:
        state, commands = hold(state, Hold.SOURCE, away, page=True)
    else:
        state = unhold(state, Hold.SOURCE)
    if tick.frozen:
        state, more = hold(state, Hold.FROZEN, "the service is frozen")
        return state, (*commands, *more)
    return (unhold(state, Hold.FROZEN) if tick.frozen is False else state), commands


def _look_at_weight(state: State, weight: Decimal | None) -> Stepped:
    """Compare the proxy's weight with the meant one: a higher weight is lowered at once, a lower one never raised."""
    if weight is None or weight == state.weight or state.phase is Phase.SHIFT:
        return state, ()
    text = f"the proxy uses the weight {weight:.2%}, not {state.weight:.2%}"
    state, told = hold(state, Hold.WEIGHT, text, page=True)
    return state, ((LowerWeight(weight=state.weight), *told) if weight > state.weight else told)


def _look_at_gates(plan: Plan, state: State, tick: Tick) -> Stepped:
    """Count breaches in a row and passes; abort or hold where a row is full or nothing was proven for too long."""
    commands: tuple[Command, ...] = ()
    settled_s = tick.at - (state.shifted_at if state.shifted_at is not None else tick.at)
    ready = [one for one in tick.measured if settled_s >= plan.gates[one.gate].window_s]
    counted = {one.gate: count(plan, state.gates.get(one.gate, GateState()), one, tick.at) for one in ready}
    state = replace(state, gates={**state.gates, **counted})
    if any(one.verdict is Verdict.BREACH for one in ready):
        # An approval is void after a breach: what the person saw is no longer true.
        answers = Answers(gate_asked_at=state.answers.gate_asked_at, ab=state.answers.ab)
        state = replace(state, answers=answers)
    for one in ready:
        gate = plan.gates[one.gate]
        if state.gates[one.gate].streak < gate.consecutive:
            continue
        text = f"gate {one.gate}: {describe(one)}, {state.gates[one.gate].streak} times in a row"
        if gate.aborts:
            ended, last = abort(state, text)
            return ended, (*commands, *last)
        state, more = hold(state, Hold.BREACH, text, page=True)
        commands += more
    state, more = _look_at_stage(plan, state, [one.gate for one in ready])
    commands += more
    if state.phase is Phase.ABORTING:
        return state, commands
    state, more = _look_for_silence(plan, state, tick.at)
    return state, (*commands, *more)


def count(plan: Plan, before: GateState, one: Measured, at: float) -> GateState:
    """The gate after one measurement. INCONCLUSIVE neither ends a row of breaches nor adds to it.

    A breach that comes too soon after the row's first breach is seen, and not counted once more.
    """
    before = replace(before, watched=added(plan.gates[one.gate], before.watched, one, at))
    match one.verdict:
        case Verdict.PASS:
            return replace(before, streak=0, since=None, passes=before.passes + 1, last=one.verdict, spoke_at=at)
        case Verdict.BREACH:
            after = replace(before, last=one.verdict, spoke_at=at)
            if before.streak == 0 or before.since is None:
                return replace(after, streak=before.streak + 1, since=at)
            due = before.since + before.streak * plan.gates[one.gate].spaced_s
            # A look may come a moment early, measured against the one that began the row.
            return replace(after, streak=before.streak + 1) if at >= due - plan.every_s * EARLY else after
        case Verdict.INCONCLUSIVE:
            return replace(before, last=one.verdict)


def _look_at_stage(plan: Plan, state: State, names: Sequence[str]) -> Stepped:
    """Abort or hold where all windows of the stage together prove what no window could."""
    for name in names:
        gate, watched = plan.gates[name], state.gates[name].watched
        if not breaks(gate, watched):
            continue
        text = f"gate {name}: {watched.every_bad} of {watched.total} events of the stage are bad"
        return abort(state, text) if gate.aborts else hold(state, Hold.BREACH, text, page=True)
    return state, ()


def look_for_evidence(plan: Plan, state: State) -> Stepped:
    """At the end of a stage: hold while its events cannot tell a good release from one with twice the failures."""
    seen = {name: state.gates.get(name, GateState()).watched for name in plan.gates}
    lacking = [name for name, gate in plan.gates.items() if not proven(gate, seen[name])]
    if not lacking:
        return unhold(state, Hold.EVIDENCE), ()
    found = ", ".join(f"{name} ({seen[name].every_bad} of {seen[name].total} events are bad)" for name in lacking)
    stage = f"stage {state.stage + 1} has too few events to tell a good release from a bad one"
    text = f"{stage}, so the engine watches on: {found}"
    return hold(state, Hold.EVIDENCE, text)


def _look_for_silence(plan: Plan, state: State, at: float) -> Stepped:
    """Hold, or abort, where a gate has said neither PASS nor BREACH for too long."""
    since = {name: _spoke_at(plan, state, name, at) for name in plan.gates}
    silent = sorted(name for name, spoke_at in since.items() if at - spoke_at >= plan.hold_for_s)
    if not silent:
        return unhold(state, Hold.NO_DATA), ()
    text = f"no verdict for {plan.hold_for_s:g} s of {', '.join(silent)}"
    if plan.no_data_aborts:
        return abort(state, text)
    return hold(state, Hold.NO_DATA, text, page=True)


def _spoke_at(plan: Plan, state: State, name: str, at: float) -> float:
    spoke_at = state.gates.get(name, GateState()).spoke_at
    if spoke_at is not None:
        return spoke_at
    return (state.shifted_at if state.shifted_at is not None else at) + plan.gates[name].window_s


def watched_s(plan: Plan, state: State, tick: Tick) -> float:
    """How much of the time since the last look counts as bake: nothing while held, or while a gate has no data.

    At most two intervals count, so that an engine that was down has not watched anything.
    """
    if state.holds or any(one.value is None for one in tick.measured) or state.ticked_at is None:
        return 0.0
    return max(0.0, min(tick.at - state.ticked_at, 2 * plan.every_s))


def all_pass(plan: Plan, state: State) -> bool:
    """Whether the last verdict of every gate is PASS, so that no row of breaches is open."""
    return all(state.gates.get(name, GateState()).last is Verdict.PASS for name in plan.gates)


def describe(one: Measured) -> str:
    """A measurement for people."""
    value = "no data" if one.value is None else figure(one.value, one.unit)
    bound = "" if one.bound is None else f" (limit {figure(one.bound, one.unit)})"
    return f"{value}{bound}" + (f", {one.why}" if one.why else "")
