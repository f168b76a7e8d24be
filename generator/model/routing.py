"""Who is told of which alerts, by which media, and when it escalates: the values of a spec's `routing` section."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from freezeline.problems import Position
from generator.model.mute_times import MuteTime
from generator.model.teams import Smtp, Team


class Target(Struct, frozen=True, kw_only=True):
    """A team, and the media by which the team is told."""

    team: str
    by: tuple[str, ...]

    def media(self, team: Team) -> tuple[str, ...]:
        """The media by which the team is told: those of the target, else all media of the team."""
        return self.by or team.media


class Route(Struct, frozen=True, kw_only=True):
    """Alerts with these labels go to all of these targets. A label may have several values."""

    match: tuple[tuple[str, tuple[str, ...]], ...]
    to: tuple[Target, ...]
    goes_on: bool  # whether Alertmanager also looks at later routes
    group_by: tuple[str, ...]
    repeat_ms: int | None
    mute: tuple[str, ...]
    active: tuple[str, ...]
    position: Position

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether this route matches an alert with these labels."""
        return all(labels.get(label, "") in values for label, values in self.match)


class Inhibition(Struct, frozen=True, kw_only=True):
    """While the cause fires, Alertmanager does not announce its symptoms (alert names)."""

    cause: str
    symptoms: tuple[str, ...]
    position: Position


class EscalationLevel(Struct, frozen=True, kw_only=True):
    """Whom the receiver tells `after_ms` into an unacknowledged incident of these severities."""

    level: int
    after_ms: int
    to: str
    severities: tuple[str, ...]
    ask: str
    position: Position


class Routing(Struct, frozen=True, kw_only=True):
    """The `routing` section."""

    teams: Mapping[str, Team]
    routes: tuple[Route, ...]
    inhibit: tuple[Inhibition, ...]
    escalation: tuple[EscalationLevel, ...]
    status_every_ms: int | None
    mute_times: tuple[MuteTime, ...]
    smtp: Smtp | None
    position: Position
