"""Episodes and actions as the spans of a trace: pure. `receiver.otlp` sends spans, if a collector is set.

An episode is a span from the beginning of its alert to the opening of the episode. The episode's actions are children
of this span. Identifiers follow from the journal, so every receiver gives the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from receiver import traceparent
from receiver.decide.model import Action, ActionState, Episode

GOOD = frozenset({ActionState.SUCCEEDED, ActionState.SKIPPED, ActionState.CANCELLED})


class Span(Struct, frozen=True, kw_only=True):
    """One part of a trace. `failed` is the error of an action that failed, or ""."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    begun: datetime
    ended: datetime
    attributes: Mapping[str, str]
    failed: str = ""


def of_episode(episode: Episode) -> Span:
    """The alert, from its beginning until the receiver knew of it."""
    return Span(
        name=f"alert {episode.alert}" if episode.alert else f"episode {episode.rule}",
        trace_id=traceparent.trace_of(episode.trace.trace_id or episode.id),
        span_id=traceparent.span_of(episode.id),
        parent_id="",
        begun=min(episode.starts_at, episode.opened_at),
        ended=episode.opened_at,
        attributes={
            "freezeline.episode": episode.id,
            "freezeline.incident": episode.incident,
            "freezeline.service": episode.service,
            "freezeline.severity": episode.severity,
            "freezeline.reason": episode.reason,
            "freezeline.spec": episode.spec,
        },
    )


def of_action(action: Action, episode: Episode, ended: datetime) -> Span:
    """An action that has ended, as a child of its episode."""
    event = action.payload.get("event", "")
    error = action.result.get("error") or action.state.value
    return Span(
        name=f"notice {event} to {action.name}" if event else action.type.value,
        trace_id=traceparent.trace_of(episode.trace.trace_id or episode.id),
        span_id=traceparent.span_of(action.id),
        parent_id=traceparent.span_of(episode.id),
        begun=action.created_at,
        ended=max(ended, action.created_at),
        attributes={
            "freezeline.action": action.id,
            "freezeline.service": action.service,
            "freezeline.state": action.state.value,
            "freezeline.release": action.payload.get("release", ""),
            "freezeline.attempt": str(action.attempt),
        },
        failed="" if action.state in GOOD else error,
    )
