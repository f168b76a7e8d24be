"""A rollout as programs and people see it: stage, share of the traffic, gates, and what the engine waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from receiver.context import Context
from receiver.decide.escalate import open_for
from receiver.figures import figure
from receiver.rollouts import Ended, Rollout, RolloutsError

log = logging.getLogger(__name__)

FULL_MINUTE_S = 60.0


async def newest(context: Context) -> tuple[Rollout, ...]:
    """Every service's newest rollout. A damaged database is logged, and hides its own directory alone."""
    try:
        return await asyncio.to_thread(context.rollouts.newest)
    except RolloutsError as error:
        log.warning("rollouts.unreadable", extra={"error": str(error)})
        return ()


async def ended(context: Context, limit: int) -> tuple[Ended, ...]:
    """The last rollouts that are over. A damaged database is logged."""
    try:
        return await asyncio.to_thread(context.rollouts.ended, limit)
    except RolloutsError as error:
        log.warning("rollouts.unreadable", extra={"error": str(error)})
        return ()


def shown(rollout: Rollout, now: float) -> dict[str, Any]:
    """A rollout for programs: configured and measured split, the gates' last values, holds, and what comes next."""
    look = rollout.look or {}
    return {
        "service": rollout.service,
        "rollout": rollout.id,
        "release": rollout.release,
        "phase": rollout.phase,
        "stage": rollout.stage + 1,
        "stages": len(rollout.stages),
        "running": rollout.runs,
        "why": rollout.state.get("why", ""),
        "holds": rollout.state.get("holds", {}),
        "waits_for": list(waits_for(rollout, now)),
        "looked_at": rollout.looked_at,
        "traffic": {
            "wanted_percentage": wanted(rollout),
            "configured_percentage": configured(rollout),
            "measured_percentage": measured(rollout),
        },
        "gates": [_gate(one) for one in look.get("measured", ())],
    }


def _gate(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A gate's last measurement; `value_text` and `bound_text` are for people."""
    return {**raw, "value_text": gate_figure(raw, "value"), "bound_text": gate_figure(raw, "bound")}


def gate_figure(raw: Mapping[str, Any], name: str) -> str:
    """The value or the bound of a measurement, with its unit; "" where nothing is known."""
    found = raw.get(name)
    return "" if found is None else figure(found, str(raw.get("unit", "")))


def wanted(rollout: Rollout) -> float:
    """The canary's percentage of the traffic in the present stage."""
    return _percentage(rollout.stages[rollout.stage]["weight"])


def configured(rollout: Rollout) -> float:
    """The canary's percentage as the engine set the share last."""
    return _percentage(rollout.state.get("weight", 0))


def measured(rollout: Rollout) -> float | None:
    """The canary's percentage as the last look read it from the proxy; None where the proxy did not answer."""
    found = (rollout.look or {}).get("weight")
    return None if found is None else _percentage(found)


def _percentage(share: object) -> float:
    return float(Decimal(str(share)) * 100)


def waits_for(rollout: Rollout, now: float) -> tuple[str, ...]:
    """What must happen before the rollout goes on, in sentences for people; none after the end."""
    if not rollout.runs:
        return ()
    holds: Mapping[str, str] = rollout.state.get("holds", {})
    found = [f"held: {why}" for why in holds.values()]
    if rollout.silent(now):
        found.append(f"nobody has looked for {span(now - rollout.looked_at)}: start `freezeline canary run` again")
    return (*found, *_of_phase(rollout))


def _of_phase(rollout: Rollout) -> Iterator[str]:
    state = rollout.state
    match rollout.phase:
        case "precheck":
            asked = state.get("answers", {}).get("approval_asked_at") is not None
            yield "a person must approve the beginning" if asked else "the checks before the rollout must end"
        case "deploy":
            yield "the deploy command must end"
        case "shift":
            yield f"the proxy must give the canary {wanted(rollout):g} % of the traffic"
        case "settle":
            yield "every gate needs a window with data of this weight alone"
        case "bake" | "soak":
            yield f"watched for {span(state.get('baked_s', 0.0))} of {span(rollout.watch_s)}"
        case "evaluate":
            yield from _questions(rollout)
        case "aborting":
            yield "the canary's traffic must end" if not state.get("cut") else "the rollback must end"
        case "superseding":
            yield "the canary's traffic must end"


def _questions(rollout: Rollout) -> Iterator[str]:
    """The questions of a stage's end that have no yes yet; without any, the gates."""
    stage, answers = rollout.stages[rollout.stage], rollout.state.get("answers", {})
    then = stage.get("then", {})
    asked = False
    if then.get("gate") and answers.get("gate") is not True:
        asked = True
        yield "the go/no-go gate must say GO"
    if answers.get("approval_asked_at") is not None and not answers.get("approved_by"):
        asked = True
        yield "a person must approve this stage: `freezeline canary approve`"
    if "ab" in stage and answers.get("ab") != "not_worse":
        asked = True
        yield "the A/B test must find the canary not worse"
    if not asked:
        yield "every gate's last verdict must be PASS"


def span(seconds: float) -> str:
    """A time span for people; in seconds below a minute."""
    return f"{max(0.0, seconds):.0f} s" if seconds < FULL_MINUTE_S else open_for(timedelta(seconds=seconds))
