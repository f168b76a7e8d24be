"""Rows that several pages share: open episodes, running actions, dead letters and decisions, as plain texts. Pure."""

from datetime import datetime

from msgspec import Struct

from receiver.decide.model import Action, ActionState, ActionType, Episode, Recorded
from receiver.http.page.incidents import MACHINE
from receiver.http.page.words import Instant, instant
from receiver.links import incident_page, service_page

CANCELLABLE = {
    ActionType.ROLLBACK: frozenset({ActionState.PENDING, ActionState.STARTING, ActionState.RUNNING}),
    ActionType.SWITCH: frozenset({ActionState.RETRY_WAIT}),
    ActionType.SWITCH_BACK: frozenset({ActionState.RETRY_WAIT}),
    ActionType.NOTIFY: frozenset({ActionState.PENDING, ActionState.RETRY_WAIT}),
}

CONSEQUENCES = {
    ActionType.ROLLBACK: "The command ends at once with all its processes, and may leave the service half rolled back. "
    "Within the undo time, the undo command follows.",
    ActionType.NOTIFY: "Nobody gets this notice on this channel.",
    ActionType.SWITCH: "The feature flag stays as it is now.",
    ActionType.SWITCH_BACK: "The feature flag stays as it is now. Set the flag back by hand.",
}


class OpenEpisode(Struct, frozen=True, kw_only=True):
    """One open episode."""

    id: str
    service: str
    alert: str
    severity: str
    state: str
    rule: str
    reason: str
    opened: Instant
    acknowledged_by: str
    incident_path: str


class Running(Struct, frozen=True, kw_only=True):
    """One unfinished action. `consequence` says what happens if somebody cancels the action."""

    id: str
    type: str
    name: str
    service: str
    state: str
    release: str
    attempt: int
    since: Instant
    cancellable: bool
    consequence: str


class Lost(Struct, frozen=True, kw_only=True):
    """One dead letter."""

    id: str
    channel: str
    service: str
    service_path: str
    event: str
    error: str
    at: Instant


class Decided(Struct, frozen=True, kw_only=True):
    """One decision. `machine` says that people seldom need the decision."""

    seq: int
    at: Instant
    kind: str
    sentence: str
    machine: bool


def episode_of(episode: Episode, now: datetime) -> OpenEpisode:
    """An episode for people."""
    return OpenEpisode(
        id=episode.id,
        service=episode.service,
        alert=episode.alert or "frozen by hand",
        severity=episode.severity,
        state="firing" if episode.state.value == "OPEN" else episode.state.value.lower(),
        rule=f"{episode.policy}/{episode.rule}",
        reason=episode.reason,
        opened=instant(episode.opened_at, now),
        acknowledged_by=episode.acked_by,
        incident_path=incident_page(episode.incident),
    )


def running_of(action: Action, now: datetime) -> Running:
    """An unfinished action for people."""
    return Running(
        id=action.id,
        type=action.type.value,
        name=action.name,
        service=action.service,
        state=action.state.value.lower().replace("_", " "),
        release=action.payload.get("release", ""),
        attempt=action.attempt,
        since=instant(action.created_at, now),
        cancellable=action.state in CANCELLABLE.get(action.type, frozenset()),
        consequence=CONSEQUENCES.get(action.type, ""),
    )


def lost_of(action: Action, now: datetime) -> Lost:
    """A dead letter for people."""
    return Lost(
        id=action.id,
        channel=action.name,
        service=action.service,
        service_path=service_page(action.service),
        event=action.payload.get("event", ""),
        error=action.result.get("error", ""),
        at=instant(action.created_at, now),
    )


def decided_of(one: Recorded, now: datetime) -> Decided:
    """A decision for people."""
    return Decided(
        seq=one.seq,
        at=instant(one.at, now),
        kind=one.decision.kind,
        sentence=one.decision.sentence,
        machine=one.decision.kind in MACHINE,
    )
