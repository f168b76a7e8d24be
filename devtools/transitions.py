"""Writes the table of a rollout's state machine into docs/canary.md: `python -m devtools.transitions [--check]`.

The rows are those of `release.canary.machine.TABLE`, with the docstrings of its handlers. Where an event may lead is
found by trying: every event, in states that differ in everything that the state machine asks.
"""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path

from msgspec.structs import replace

from freezeline.problems import Problems
from release.canary.asking import BEFORE_THE_FIRST
from release.canary.machine import TABLE, NotNow, step
from release.canary.plan import Plan, plan_of
from release.canary.state import (
    FINAL,
    AbJudged,
    AbortAsked,
    Answers,
    Approved,
    Checked,
    Cut,
    Deployed,
    Event,
    FreezeAsked,
    GateAnswered,
    GateState,
    Hold,
    NewRelease,
    Paused,
    Phase,
    Promoted,
    Resumed,
    RollbackEnded,
    Shifted,
    ShiftFailed,
    Started,
    State,
    Tick,
    Watched,
)
from release.canary.verdict import Measured, Verdict
from release.policy.canary import Approval, Ask
from release.policy.read import parse

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "canary.md"
POLICIES = ("assistant-phase4", "day0-launch")
BEGIN, END = "<!-- transitions: written by ./dev generate -->\n", "<!-- end of transitions -->\n"
MANY = 10**9
LONG_S = 30 * 86400.0
"""Longer than any bake, soak or approval of the shipped canaries."""

Leads = Mapping[tuple[Phase, type[Event]], frozenset[Phase]]


def main(argv: list[str], path: Path = PAGE) -> int:
    """Write the page, or check the page and say how to mend it."""
    before = path.read_text("utf-8")
    wanted = page(before)
    if wanted == before:
        return 0
    if "--check" in argv:
        sys.stderr.write(f"{path.name}: the table of transitions differs from the code; run ./dev generate\n")
        return 1
    path.write_text(wanted, "utf-8")
    return 0


def page(text: str) -> str:
    """The page with the table of the present code between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table(leads())}{END}{tail}"


def table(found: Leads) -> str:
    """The rows. Phases share a row where an event means the same and leads to the same phases."""
    rows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    order = list(Phase)
    for (phase, event), handler in sorted(TABLE.items(), key=lambda one: (order.index(one[0][0]), one[0][1].__name__)):
        said = (handler.__doc__ or "").partition("\n")[0].partition(" Raises ")[0]
        to = ", ".join("the same" if one is phase else one.value for one in order if one in found[phase, event])
        rows[event.__name__, to, said].append(phase.value)
    lines = [f"| {', '.join(phases)} | `{event}` | {said} | {to} |" for (event, to, said), phases in rows.items()]
    return (
        "\n".join(["| phase | event | what happens | phase afterwards |", "| --- | --- | --- | --- |", *lines]) + "\n"
    )


def leads() -> Leads:
    """The phases to which each entry of the table leads: shipped canaries, with and without an approval to begin."""
    found: dict[tuple[Phase, type[Event]], set[Phase]] = defaultdict(set)
    shipped = [plan_named(name) for name in POLICIES]
    waits = Ask(approval=Approval(within_s=LONG_S, then="abort"))
    for plan in (*shipped, *(replace(plan, start=waits) for plan in shipped)):
        for state in states(plan):
            for event in events(plan, state):
                # A person's order that is refused leads nowhere.
                with contextlib.suppress(NotNow):
                    found[state.phase, type(event)].add(step(plan, state, event)[0].phase)
    return {key: frozenset(phases) for key, phases in found.items()}


def plan_named(name: str) -> Plan:
    """The plan of a shipped canary. Raises ValueError."""
    problems = Problems()
    path = ROOT / "rules" / "policy" / f"{name}.policy.json"
    policy = parse(path.read_text("utf-8"), file=path.name, problems=problems)
    if policy is None or policy.canary is None:
        raise ValueError(f"{path} has no canary: {list(problems)}")
    return plan_of(policy.canary)


def states(plan: Plan) -> Iterator[State]:
    """States that differ in everything that the reducer asks: stage, holds, verdicts, answers, and the rollback."""
    proven = Watched(total=MANY)
    passing = {name: GateState(last=Verdict.PASS, passes=MANY, spoke_at=0.0, watched=proven) for name in plan.gates}
    asked = Answers(approval_asked_at=0.0)
    answered = Answers(gate=True, approved_by="a", approval_asked_at=0.0, ab="not_worse")
    for phase, stage, holds, gates, answers, watched_s, ended in product(
        [one for one in Phase if one not in FINAL],
        range(len(plan.stages)),
        ({}, {Hold.WEIGHT: "x"}, {Hold.PAUSED: "x"}),
        ({}, passing),
        (Answers(), asked, answered),
        (0.0, LONG_S),
        ("", None, "x"),
    ):
        if phase in {Phase.BAKE, Phase.SOAK} and plan.stages[stage].soak is not (phase is Phase.SOAK):
            continue
        weight = plan.stages[stage - 1].weight if stage else Decimal(0)
        yield State(
            rollout="r",
            release="v2",
            stable="v1",
            phase=phase,
            stage=stage,
            weight=weight if phase is Phase.SHIFT else plan.stages[stage].weight,
            shifted_at=0.0,
            traffic_since=0.0,
            ticked_at=0.0,
            baked_s=watched_s,
            gates=gates,
            answers=answers,
            holds=holds,
            cut=ended is None,
            rollback_asked=True,
            rollback_ended=ended,
        )


def events(plan: Plan, state: State) -> Iterator[Event]:
    """Every kind of event, with every content that makes a difference."""
    now = plan.every_s
    target = plan.stages[state.stage].weight
    yield from (Started(at=now, weight=weight) for weight in (None, state.weight, target, Decimal(1)))
    yield from (Checked(reasons=()), Checked(reasons=("x",)), Deployed(why=""), Deployed(why="x"))
    if state.phase is Phase.SHIFT or state.stage + 1 < len(plan.stages):  # Nobody asks after the last.
        yield from (FreezeAsked(frozen=frozen) for frozen in (False, True, None))
    yield from (Shifted(at=now), ShiftFailed(why="x"), Cut(), Cut(why="x"), RollbackEnded(), RollbackEnded(why="x"))
    yield from (GateAnswered(at=now, go=go) for go in (True, False))
    yield from (AbJudged(outcome=outcome) for outcome in ("undecided", "not_worse", "worse", "cannot_tell"))
    yield from (Approved(by="a", rollout="r", stage=stage) for stage in (BEFORE_THE_FIRST, state.stage))
    yield from (Paused(by="a"), Resumed(by="a"), Promoted(by="a"), AbortAsked(by="a", reason="x"))
    yield NewRelease(release="v3")
    for at in (now, now + LONG_S):
        yield from _looks(plan, state, at, target)


def _looks(plan: Plan, state: State, at: float, target: Decimal) -> Iterable[Tick]:
    passing = _measured(plan, Verdict.PASS)
    yield from (Tick(at=at, weight=weight, measured=passing) for weight in (None, state.weight, target, Decimal(1)))
    yield from (Tick(at=at, weight=state.weight, measured=_measured(plan, verdict)) for verdict in Verdict)
    yield Tick(at=at, weight=state.weight, measured=passing, firing=("Down",))
    yield Tick(at=at, weight=state.weight, measured=passing, frozen=True)


def _measured(plan: Plan, verdict: Verdict) -> tuple[Measured, ...]:
    value = None if verdict is Verdict.INCONCLUSIVE else Decimal(1)
    return tuple(
        Measured(gate=gate, verdict=verdict, value=value, bound=None, samples=None, why="") for gate in plan.gates
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
