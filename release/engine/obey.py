"""Obeys the state machine's commands. Each ends in an event that tells how it went."""

from __future__ import annotations

import asyncio
import logging

from receiver.run import commands
from receiver.sources.asking import SourceError
from release.canary.plan import Plan
from release.canary.state import (
    AskFreeze,
    AskGate,
    Check,
    Checked,
    Command,
    Cut,
    CutTraffic,
    Deploy,
    Deployed,
    Event,
    FreezeAsked,
    GateAnswered,
    LowerWeight,
    RollBack,
    RollbackEnded,
    SetWeight,
    Shifted,
    ShiftFailed,
    State,
)
from release.engine.outside import Outside
from release.engine.receiver import ReceiverError
from release.traffic.adapter import TrafficError

log = logging.getLogger(__name__)

RESEND_S = 2.0
"""Seconds between two requests for a rollback, and between two questions how the rollback ended."""

READY_POLL_S = 0.5
UNREACHABLE_PAGE_S = 300.0
"""The fallback channel hears again after so long that the receiver cannot be reached."""

SLOW = (Check, Deploy, AskGate, RollBack)
"""Commands that take long. The engine goes on looking at the canary while they run."""


async def obey(command: Command, outside: Outside, plan: Plan, state: State, *, again: bool) -> Event | None:
    """Carry one command out; `state` is the stored state that asked for the command."""
    event: Event | None = None
    match command:
        case Check():
            event = Checked(reasons=await _check(outside, plan))
        case Deploy():
            event = Deployed(why=await _deploy(outside, state))
        case AskFreeze():
            frozen, why = await outside.may_shift()
            event = FreezeAsked(frozen=frozen, why=why)
        case SetWeight():
            event = await _shift(command, outside)
        case LowerWeight():
            await _lower(command, outside)
        case AskGate():
            go, why = await outside.gate()
            event = GateAnswered(at=outside.clock(), go=go, why=why)
        case CutTraffic():
            event = await _cut(outside)
        case RollBack():
            event = await _roll_back(command, outside, state, again=again)
    return event


async def _check(outside: Outside, plan: Plan) -> tuple[str, ...]:
    """Everything that must be true before a rollout begins; every reason in one answer."""
    reasons: list[str] = []
    try:
        reasons += await outside.traffic.check(before_deploy=plan.deploys)
        weight = await outside.traffic.read()
        if weight != 0:
            reasons.append(f"the canary has {weight:.2%} of the traffic already: set its weight to 0")
    except TrafficError as error:
        reasons.append(f"the proxy cannot be asked: {error}")
    if plan.start.gate:
        go, why = await outside.gate()
        if not go:
            reasons.append(f"the gate does not say GO: {why}")
    frozen, why = await outside.frozen()
    if frozen is not False:
        reasons.append("the service is frozen" if frozen else f"nobody can tell whether the service is frozen: {why}")
    try:
        firing = await outside.firing(None)
        if firing:
            reasons.append(f"alerts fire already: {', '.join(firing)}")
    except SourceError as error:
        reasons.append(str(error))
    return tuple(dict.fromkeys(reasons))


async def _deploy(outside: Outside, state: State) -> str:
    """Run the deploy command, then wait until the proxy sees the new servers; "" after a success."""
    deploy = outside.canary.deploy
    if deploy is None:
        return ""
    loop = asyncio.get_running_loop()
    end = loop.time() + deploy.timeout_s
    environment = {**outside.command_environment, "FREEZELINE_FACT_RELEASE": state.release}
    answer = await commands.ask(deploy.command, timeout_s=deploy.timeout_s, env=environment)
    if not answer.ok:
        return answer.why
    while True:
        try:
            reasons = await outside.traffic.check(before_deploy=False)
        except TrafficError as error:
            reasons = (str(error),)
        if not reasons:
            return ""
        if loop.time() + READY_POLL_S >= end:
            return f"the proxy cannot use the new release: {'; '.join(reasons)}"
        await asyncio.sleep(READY_POLL_S)


async def _shift(command: SetWeight, outside: Outside) -> Event:
    try:
        await outside.traffic.set(command.weight)
    except TrafficError as error:
        return ShiftFailed(why=str(error))
    return Shifted(at=outside.clock())


async def _lower(command: LowerWeight, outside: Outside) -> None:
    """Lower at once. The next look reads the weight, and lowers again where this failed."""
    try:
        await outside.traffic.set(command.weight)
    except TrafficError as error:
        log.error("canary.lower_failed", extra={"error": str(error)})  # noqa: TRY400 - the next look tries again


async def _cut(outside: Outside) -> Event:
    try:
        await outside.traffic.cut()
    except TrafficError as error:
        return Cut(why=str(error))
    return Cut()


async def _roll_back(command: RollBack, outside: Outside, state: State, *, again: bool) -> RollbackEnded:
    """Ask until the receiver has accepted, then until the rollback has ended. The rollout's id makes one order."""
    body = {
        "service": outside.policy.policy.service,
        "rollout": state.rollout,
        "release": state.release,
        "policy": outside.policy.policy.name,
        "reason": command.reason,
        "again": again,
    }
    accepted = False
    while True:
        try:
            if not accepted:
                await outside.receiver.post("/api/v2/canary/rollback", body)
                accepted = True
            answer = await outside.receiver.get(f"/api/v2/canary/rollback/{state.rollout}")
            if answer["ended"]:
                return RollbackEnded(why=answer["why"])
        except ReceiverError as error:
            accepted = accepted and error.status != 404
            log.error("canary.rollback_not_accepted", extra={"error": str(error)})  # noqa: TRY400 - tried for ever
            text = f"{state.release} must be rolled back, and the receiver is away: {error}"
            await outside.paging.page(f"rollback:{state.rollout}", text, again_s=UNREACHABLE_PAGE_S)
        await asyncio.sleep(RESEND_S)
