"""Incidents: their history, and one incident's course of events as a page and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from receiver.decide.model import Action, ActionState, ActionType, Episode, Incident, Recorded
from receiver.decide.recovery import MeanTimes
from receiver.http.page.words import Instant, instant, lasted, percent
from receiver.links import incident_page, service_page

SHOWN_MAX = 100
EVENTS_MAX = 500
MTTR = timedelta(days=30)
"""How far back the mean times look."""

MACHINE = frozenset(
    {
        "notice",
        "told",
        "freeze_done",
        "unfreeze_done",
        "rollback_ended",
        "rollback_starting",
        "starting",
        "verified",
        "doubted",
        "doubt_settled",
        "flag_rewritten",
        "policies",
        "unmatched",
        "stale_resolve",
        "quarantined",
        "checkpoint",
        "started",
    }
)
"""Kinds of decisions that only the machine needs. The page folds them."""

DEEDS: Mapping[tuple[str, str], str] = {
    ("freeze", "SUCCEEDED"): "frozen",
    ("unfreeze", "SUCCEEDED"): "unfrozen",
    ("rollback", "SUCCEEDED"): "rolled back",
    ("rollback", "DEAD"): "rollback failed",
    ("rollback", "SKIPPED"): "rollback not started",
    ("rollback", "CANCELLED"): "rollback cancelled",
    ("undo", "SUCCEEDED"): "rollback undone",
    ("switch", "SUCCEEDED"): "feature flag set",
    ("switch_back", "SUCCEEDED"): "feature flag set back",
}


class Entry(Struct, frozen=True, kw_only=True):
    """One incident in the list. `ended` is None while it is open."""

    id: str
    path: str
    service: str
    service_path: str
    alert: str
    severity: str
    sentence: str
    opened: Instant
    ended: Instant | None
    duration: str
    episodes: int
    deeds: str
    acknowledged: str
    spent: str


class History(Struct, frozen=True, kw_only=True):
    """The last incidents, and the mean times of the last 30 days: until the end, and until the acknowledgement."""

    entries: tuple[Entry, ...]
    more: bool
    mttr: str
    mtta: str
    counted: int
    service: str


class Event(Struct, frozen=True, kw_only=True):
    """One decision in an incident's course."""

    seq: int
    at: Instant
    kind: str
    sentence: str
    machine: bool


class Deed(Struct, frozen=True, kw_only=True):
    """One action of an incident."""

    id: str
    what: str
    state: str
    said: str
    at: Instant


class Course(Struct, frozen=True, kw_only=True):
    """One incident with its events, episodes and actions."""

    entry: Entry
    events: tuple[Event, ...]
    machine: tuple[Event, ...]
    more_events: bool
    alerts: tuple[str, ...]
    deeds: tuple[Deed, ...]
    notices: str


def entry(
    incident: Incident,
    now: datetime,
    deeds: Iterable[tuple[str, str, int]] = (),
    spent: float | None = None,
) -> Entry:
    """One incident for people."""
    first = incident.first
    end = incident.ended_at or now
    acknowledged = ""
    if incident.acked_by:
        after = f" after {lasted(incident.acked_at - incident.opened_at)}" if incident.acked_at else ""
        acknowledged = f"{incident.acked_by}{after}"
    return Entry(
        id=first.id,
        path=incident_page(first.id),
        service=first.service,
        service_path=service_page(first.service),
        alert=first.alert or "by hand",
        severity=first.severity,
        sentence=first.reason,
        opened=instant(incident.opened_at, now),
        ended=instant(incident.ended_at, now) if incident.ended_at else None,
        duration=lasted(end - incident.opened_at),
        episodes=incident.episodes,
        deeds=_deeds(deeds),
        acknowledged=acknowledged,
        spent=percent(spent) if spent is not None else "",
    )


def history(
    found: Sequence[Incident],
    deeds: Mapping[str, Sequence[tuple[str, str, int]]],
    times: MeanTimes,
    *,
    now: datetime,
    spent: Callable[[Incident], float | None] = lambda _incident: None,
    service: str = "",
) -> History:
    """The list of incidents, with the mean times of the last 30 days."""
    return History(
        entries=tuple(entry(one, now, deeds.get(one.first.id, ()), spent(one)) for one in found[:SHOWN_MAX]),
        more=len(found) > SHOWN_MAX,
        mttr=lasted(times.recovery) if times.recovery is not None else "",
        mtta=lasted(times.acknowledgement) if times.acknowledgement is not None else "",
        counted=times.ended,
        service=service,
    )


class Known(Struct, frozen=True, kw_only=True):
    """What the journal knows of one incident."""

    incident: Incident
    decisions: Sequence[Recorded]
    episodes: Sequence[Episode]
    actions: Sequence[Action]


def course(known: Known, *, now: datetime, spent: float | None = None) -> Course:
    """One incident's course."""
    events = [
        Event(
            seq=one.seq,
            at=instant(one.at, now),
            kind=one.decision.kind,
            sentence=one.decision.sentence,
            machine=one.decision.kind in MACHINE,
        )
        for one in known.decisions
    ]
    told = [one for one in known.actions if one.type is ActionType.NOTIFY]
    counted: dict[tuple[str, str], int] = {}
    for one in known.actions:
        counted[one.type.value, one.state.value] = counted.get((one.type.value, one.state.value), 0) + 1
    deeds = [(kind, state, number) for (kind, state), number in counted.items()]
    return Course(
        entry=entry(known.incident, now, deeds, spent),
        events=tuple(one for one in events if not one.machine),
        machine=tuple(one for one in events if one.machine),
        more_events=len(events) >= EVENTS_MAX,
        alerts=tuple(dict.fromkeys(f"{one.alert or 'by hand'}: {one.reason}" for one in known.episodes)),
        deeds=tuple(_deed(one, now) for one in known.actions if one.type is not ActionType.NOTIFY),
        notices=_told(told),
    )


def markdown(course: Course, *, url: str) -> str:
    """The incident for a post-mortem. Text from alerts cannot become markup: special characters are escaped."""
    one = course.entry
    lines = [
        f"# Incident of {inert(one.service)}: {inert(one.alert)}",
        "",
        f"> {inert(one.sentence)}",
        "",
        f"- Began: {one.opened.iso} UTC",
        f"- Ended: {f'{one.ended.iso} UTC' if one.ended else 'not yet'}",
        f"- Lasted: {one.duration}",
        f"- Budget spent: {one.spent or 'unknown'}",
        f"- Actions: {inert(one.deeds) or 'none'}",
        f"- Acknowledged by: {inert(one.acknowledged) or 'nobody'}",
        f"- Notices: {course.notices}",
        *([f"- Page: <{url}>"] if url else []),
        "",
        "## Alerts",
        "",
        *(f"- {inert(alert)}" for alert in course.alerts),
        "",
        "## What happened",
        "",
        "| time (UTC) | kind | what |",
        "| --- | --- | --- |",
        *(f"| {event.at.iso} | {inert(event.kind)} | {inert(event.sentence)} |" for event in course.events),
        "",
    ]
    if course.deeds:
        lines += ["## Actions", "", "| time (UTC) | action | state | result |", "| --- | --- | --- | --- |"]
        lines += [f"| {one.at.iso} | {inert(one.what)} | {one.state} | {inert(one.said)} |" for one in course.deeds]
        lines.append("")
    return "\n".join(lines)


_SPECIAL = frozenset("\\`*_{}[]<>()#+-!|~&@:")


def inert(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def _deed(action: Action, now: datetime) -> Deed:
    release = f" of {action.payload['release']}" if action.payload.get("release") else ""
    said = action.result.get("sentence") or action.result.get("error") or action.result.get("reason") or ""
    return Deed(
        id=action.id,
        what=f"{action.type.value.replace('_', ' ')}{release}",
        state=action.state.value.lower().replace("_", " "),
        said=said,
        at=instant(action.created_at, now),
    )


def _deeds(found: Iterable[tuple[str, str, int]]) -> str:
    said = []
    for kind, state, number in found:
        if kind == ActionType.NOTIFY.value:
            continue
        words = DEEDS.get((kind, state), f"{kind.replace('_', ' ')} {state.lower().replace('_', ' ')}")
        said.append(words if number == 1 else f"{words} {number} times")
    return ", ".join(said)


def _told(notices: Sequence[Action]) -> str:
    by_channel: dict[str, int] = {}
    for one in notices:
        if one.state is ActionState.SUCCEEDED:
            by_channel[one.name] = by_channel.get(one.name, 0) + 1
    lost = sum(one.state is ActionState.DEAD for one in notices)
    said = ", ".join(f"{number} to {channel}" for channel, number in sorted(by_channel.items())) or "none delivered"
    return f"{said}; {lost} not delivered" if lost else said
