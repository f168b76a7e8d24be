"""The API of rollouts: `/api/v2/canary/…`. People enable, ask and roll back; the engine reports an abort, and tells."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from msgspec import Struct

from receiver import report
from receiver.act.rollback_rules import release_key
from receiver.context import Context
from receiver.decide import rollout as decide
from receiver.decide.model import Action, ActionState, ActionType
from receiver.decide.notice import Event
from receiver.decide.plan import Known
from receiver.decide.rollout import Abort
from receiver.http.incoming import RefusedError
from receiver.http.operate import text
from receiver.http.rollout import shown
from receiver.http.tokens import Role
from receiver.http.tracks import side_by_side
from receiver.journal import Tx, View
from receiver.journal.record import record
from receiver.journal.rollout import tell_in
from receiver.logs import CURRENT
from receiver.policy.model import Policy
from receiver.rollouts import Rollout, RolloutsError
from receiver.run import engine
from receiver.sources.prometheus import Prometheus

STARTED_S = 10.0
STARTED_POLL_S = 0.1
SAMPLES_MAX = 1000
CANARY_EVENTS = frozenset(event for event in Event if event.value.startswith("canary_"))


class Api(Struct, frozen=True, kw_only=True):
    """What the handlers need. `prometheus` is the address that engines get; "" if no Prometheus is set.

    `source` asks the same Prometheus; None if no Prometheus is set.
    """

    context: Context
    state_dir: Path
    prometheus: str
    source: Prometheus | None


Handler = Callable[[Api, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def _policy(api: Api, raw: Mapping[str, Any]) -> Policy:
    """The policy of the service that a request names; the only policy with a canary where none is named."""
    named = text(raw, "service", required=False)
    with_canary = [policy for policy in api.context.box.policies.in_force if policy.rollouts is not None]
    found = [policy for policy in with_canary if named in {"", policy.service}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(sorted({policy.service for policy in with_canary})) or "none"
    if not found:
        raise RefusedError(404, f"no policy of such a service has a canary; use one of: {known}")
    raise RefusedError(422, f"`service` must be one of: {known}")


async def _rollout(api: Api, service: str) -> Rollout | None:
    try:
        return await asyncio.to_thread(api.context.rollouts.of_service, service)
    except RolloutsError as error:
        raise RefusedError(503, f"the rollouts cannot be read: {error}") from error


async def enable(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a rollout, or agree to the next stage: {traffic_percentage, service?}."""
    policy = _policy(api, raw)
    weights = policy.rollouts.weights if policy.rollouts is not None else ()
    weight = _share(raw)
    if weight not in weights:
        known = ", ".join(f"{share * 100:f}".rstrip("0").rstrip(".") for share in weights)
        raise RefusedError(422, f"`traffic_percentage` must be one of the stages: {known}")
    standing = await api.context.journal.read(report.look)
    if policy.service in report.frozen_services(standing):
        raise RefusedError(423, f"{policy.service} is frozen")
    running = await _rollout(api, policy.service)
    if running is not None and running.runs:
        return await _next_stage(api, policy, running, weights.index(weight), raw)
    if weight != weights[0]:
        raise RefusedError(409, f"no rollout runs, and a rollout begins with {weights[0]:.4%}")
    return await _begin(api, policy, running)


def _share(raw: Mapping[str, Any]) -> Decimal:
    value = raw.get("traffic_percentage")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RefusedError(422, "`traffic_percentage` must be a number from 0 to 100")
    return Decimal(str(value)) / 100


async def _next_stage(
    api: Api, policy: Policy, running: Rollout, wanted: int, raw: Mapping[str, Any]
) -> dict[str, Any]:
    """The percentage of the next stage is the approval that the present stage waits for."""
    stage = running.stage
    waits = running.state.get("answers", {}).get("approval_asked_at") is not None
    if wanted != stage + 1 or not waits or running.phase != "evaluate":
        raise RefusedError(409, f"a rollout of {running.release} runs already, in the phase {running.phase}")
    by = text(raw, "by", required=False) or "operator"
    await _ask(api, policy.service, "Approved", {"by": by, "rollout": running.id, "stage": stage})
    return _shown(api, running)


async def _begin(api: Api, policy: Policy, before: Rollout | None) -> dict[str, Any]:
    if not api.prometheus:
        raise RefusedError(409, "no Prometheus is set in receiver.yaml, so no gate could be judged")
    bodies = await api.context.journal.read(lambda view: view.policy_bodies({policy.sha256}))
    folder = api.state_dir / "canary"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{policy.service}.policy.json"
    file.write_text(bodies[policy.sha256], "utf-8")
    file.chmod(0o600)
    process = await engine.start(file, api.state_dir, api.prometheus, folder / f"{policy.service}.log")
    loop = asyncio.get_running_loop()
    end = loop.time() + STARTED_S
    while loop.time() < end:
        newest = await _rollout(api, policy.service)
        if newest is not None and (before is None or newest.id != before.id):
            return _shown(api, newest)
        if process.returncode is not None:
            raise RefusedError(409, f"the engine ended at once; {policy.service}.log in {folder} says why")
        await asyncio.sleep(STARTED_POLL_S)
    raise RefusedError(503, "the engine has not begun yet")


async def metrics(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """How the traffic is split, what the gates said last, and the figures of both releases: {service?}."""
    found = await _rollout(api, _policy(api, raw).service)
    if found is None:
        raise RefusedError(404, "the service has had no rollout")
    try:
        policy = await asyncio.to_thread(api.context.rollouts.policy, found)
    except RolloutsError as error:
        raise RefusedError(503, f"the rollouts cannot be read: {error}") from error
    return _shown(api, found) | {"tracks": await side_by_side(policy, found, api.source)}


def _shown(api: Api, rollout: Rollout) -> dict[str, Any]:
    return shown(rollout, api.context.host_clock().timestamp())


async def samples(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Store pushed evidence: {at?, samples: [{gate, value, count?}], service?}."""
    policy = _policy(api, raw)
    running = await _rollout(api, policy.service)
    if running is None or not running.runs:
        raise RefusedError(409, "no rollout runs")
    at = raw.get("at", api.context.host_clock().timestamp())
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        raise RefusedError(422, "`at` must be Unix time in seconds")
    given = raw.get("samples")
    if not isinstance(given, list) or not 1 <= len(given) <= SAMPLES_MAX:
        raise RefusedError(422, f"`samples` must be a list of 1 to {SAMPLES_MAX} samples")
    try:
        rules = await asyncio.to_thread(api.context.rollouts.policy, running)
        pushed = {gate["id"] for gate in rules["canary"]["gates"] if gate["kind"] == "push"}
        found = [_sample(one, pushed) for one in given]
        now = api.context.host_clock().timestamp()
        await asyncio.to_thread(api.context.rollouts.push, policy.service, found, at=min(float(at), now))
    except RolloutsError as error:
        raise RefusedError(503, f"the rollout's database cannot be used: {error}") from error
    return {"service": policy.service, "stored": len(found)}


def _sample(raw: Any, pushed: set[str]) -> tuple[str, str, int | None]:
    gate = raw.get("gate") if isinstance(raw, dict) else None
    if not isinstance(gate, str) or gate not in pushed:
        known = ", ".join(sorted(pushed)) or "none"
        raise RefusedError(422, f"`gate` must be a gate with `source: push`: {known}")
    value, count = raw.get("value"), raw.get("count")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RefusedError(422, "`value` must be a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise RefusedError(422, "`value` must be a number") from error
    if not number.is_finite():
        raise RefusedError(422, "`value` must be a finite number")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 2**53):
        raise RefusedError(422, "`count` must be a whole number from 0")
    return gate, str(number), count


async def rollback(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Take a release back: {reason, service?, by?} from people, with {rollout, release} from the engine."""
    if "rollout" in raw:
        return await _aborted(api, raw)
    policy, reason = _policy(api, raw), text(raw, "reason")
    running = await _rollout(api, policy.service)
    if running is None or not running.runs:
        raise RefusedError(409, f"no rollout of {policy.service} runs")
    by = text(raw, "by", required=False) or "operator"
    await _ask(api, policy.service, "AbortAsked", {"by": by, "reason": reason})
    return _shown(api, running)


async def _ask(api: Api, service: str, kind: str, body: Mapping[str, Any]) -> None:
    at = api.context.host_clock().timestamp()
    try:
        await asyncio.to_thread(api.context.rollouts.ask, service, kind, body, at=at)
    except RolloutsError as error:
        raise RefusedError(503, f"the rollout's database cannot be used: {error}") from error


def _named_policy(api: Api, raw: Mapping[str, Any]) -> Policy:
    """The policy that an engine's rollout names, as it is in force now."""
    service, name = text(raw, "service"), text(raw, "policy", required=False)
    found = [one for one in api.context.box.policies.of_service(service) if one.rollouts is not None]
    chosen = next((one for one in found if one.name == name), found[0] if found else None)
    if chosen is None:
        raise RefusedError(409, f"no policy of {service} in force has a canary")
    return chosen


async def _aborted(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Open the abort's episode; the same rollout once only."""
    policy, context, trace = _named_policy(api, raw), api.context, CURRENT.get()
    abort = Abort(
        rollout=text(raw, "rollout"),
        release=text(raw, "release"),
        reason=text(raw, "reason"),
        again=raw.get("again") is True,
    )

    def work(tx: Tx) -> str:
        fingerprint = decide.abort_fingerprint(abort.rollout)
        earlier = tx.newest_episodes([fingerprint]).get(fingerprint, [])
        if earlier:
            return earlier[0].id
        # People hear of every abort: only one that finds the service frozen belongs to the incident of this freeze.
        known = Known(incident=tx.incident_of_freeze)
        opened = decide.on_abort(abort, policy, known, now=tx.now, ids=context.ids, trace=trace)
        record(tx, [opened], context.box.policies, ids=context.ids, trace=trace)
        return opened.episode.id

    return {"rollout": abort.rollout, "episode": await context.journal.write(work)}


async def ended(api: Api, rollout: str) -> dict[str, Any]:
    """How the rollback of an aborted rollout goes: `ended`, and `why` where it failed."""

    def look(view: View) -> dict[str, Any]:
        fingerprint = decide.abort_fingerprint(rollout)
        found = view.newest_episodes([fingerprint]).get(fingerprint, [])
        if not found:
            raise RefusedError(404, f"no abort of {rollout} is known")
        actions = view.actions(episode=found[0].id, type=ActionType.ROLLBACK)
        return {"rollout": rollout, "episode": found[0].id, **_outcome(view, actions)}

    return await api.context.journal.read(look)


def _outcome(view: View, actions: list[Action]) -> dict[str, Any]:
    for action in actions:
        followed = action
        if action.state is ActionState.SKIPPED:
            # Another rollback of the same release came first: its outcome is this rollout's outcome.
            release = action.payload.get("release", "")
            again = action.payload.get("again", "")
            followed = view.action_by_key(release_key(action.service, release, again=again)) or action
        if followed.state is ActionState.SUCCEEDED:
            continue
        if followed.state in {ActionState.DEAD, ActionState.CANCELLED, ActionState.SKIPPED}:
            said = followed.result.get("error") or followed.result.get("sentence") or followed.result.get("reason", "")
            return {"ended": True, "why": said or f"the rollback ended {followed.state.value}"}
        return {"ended": False, "why": ""}
    return {"ended": True, "why": ""}


async def tell(api: Api, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Tell people what a rollout's engine says: {service, rollout, message, event, text, page?}. Each number once."""
    policy, context, trace = _named_policy(api, raw), api.context, CURRENT.get()
    rollout, said, name = text(raw, "rollout"), text(raw, "text"), text(raw, "event")
    number = raw.get("message")
    if isinstance(number, bool) or not isinstance(number, int):
        raise RefusedError(422, "`message` must be the message's number")
    if name not in {event.value for event in CANARY_EVENTS}:
        raise RefusedError(422, f"`event` must be one of: {', '.join(sorted(CANARY_EVENTS))}")
    page = raw.get("page") is True

    def work(tx: Tx) -> int:
        which = f"{rollout}:{number}"
        return tell_in(tx, policy, rollout, Event(name), said, which=which, page=page, ids=context.ids, trace=trace)

    return {"rollout": rollout, "told": await context.journal.write(work)}


ENDPOINTS: Mapping[str, tuple[Handler, Role]] = {
    "enable": (enable, Role.OPERATE),
    "metrics": (metrics, Role.READ),
    "samples": (samples, Role.OPERATE),
    "rollback": (rollback, Role.OPERATE),
    "tell": (tell, Role.OPERATE),
}
"""The endpoints POST /api/v2/canary/<name>, each with the role that may ask."""
