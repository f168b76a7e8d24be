"""One rollout as people see it now, and the list of all rollouts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from freezeline.problems import printable
from release.canary.looks import describe
from release.canary.plan import Plan
from release.store.database import Look, Rollout, Step


def moment(at: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def as_json(rollout: Rollout, looks: Iterable[Look] = (), steps: Iterable[Step] = ()) -> dict[str, Any]:
    """Everything about a rollout, for programs."""
    found: dict[str, Any] = {
        "rollout": rollout.id,
        "release": rollout.release,
        "begun_at": moment(rollout.begun_at),
        "ended_at": None if rollout.ended_at is None else moment(rollout.ended_at),
        "policy_sha256": rollout.policy_sha256,
        "state": msgspec.to_builtins(rollout.state),
    }
    if looks:
        found["looks"] = [msgspec.to_builtins(one) for one in looks]
    if steps:
        found["steps"] = [msgspec.to_builtins(one) for one in steps]
    return found


def text(service: str, rollout: Rollout, plan: Plan, last: Look | None) -> list[str]:
    """Where a rollout stands, why it waits, and what each gate said last."""
    state = rollout.state
    stage = plan.stages[state.stage]
    lines = [
        f"{printable(service)}: {printable(rollout.release)} is {state.phase.value.replace('_', ' ')}",
        f"  rollout {rollout.id}, since {moment(rollout.begun_at)}",
        f"  stage {state.stage + 1} of {len(plan.stages)}, {stage.weight:.4%} wanted, {state.weight:.4%} set",
    ]
    if stage.watch_s and state.phase.value in {"settle", "bake", "evaluate", "soak"}:
        lines.append(f"  watched for {state.baked_s:.0f} s of {stage.watch_s:.0f} s")
    if state.why:
        lines.append(f"  because {printable(state.why)}")
    lines += [f"  held ({hold.value}): {printable(why)}" for hold, why in state.holds.items()]
    if last is not None:
        lines.append(f"  last look at {moment(last.at)}")
        for one in last.tick.measured:
            gate = state.gates.get(one.gate)
            streak = f", {gate.streak} of {plan.gates[one.gate].consecutive} breaches in a row" if gate else ""
            lines.append(f"  gate {one.gate}: {one.verdict.value}: {printable(describe(one))}{streak}")
    return lines


def line(rollout: Rollout) -> str:
    """One rollout in one line, for the history."""
    state = rollout.state
    end = "" if rollout.ended_at is None else f" to {moment(rollout.ended_at)}"
    why = f": {printable(state.why)}" if state.why else ""
    what = f"{printable(rollout.release)} {state.phase.value.replace('_', ' ')}"
    return f"{rollout.id}  {moment(rollout.begun_at)}{end}  {what}{why}"


def timeline(steps: Iterable[Step]) -> list[str]:
    """What changed a rollout, in order."""
    return [f"  {moment(one.at)}  {one.event:<14} {one.phase:<12} stage {one.stage + 1}" for one in steps]
