"""The rollouts on the page, as plain texts. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from receiver.http.page.words import Instant, instant
from receiver.http.rollout import configured, gate_figure, measured, span, waits_for, wanted
from receiver.links import rollout_page, service_page
from receiver.rollouts import Ended, Rollout

ENDED_SHOWN_S = 86400.0
"""How long the page shows a rollout that has ended."""


class Gate(Struct, frozen=True, kw_only=True):
    """One gate's last measurement."""

    name: str
    verdict: str
    value: str
    bound: str
    why: str


class Card(Struct, frozen=True, kw_only=True):
    """One rollout. `looked` says how long ago the engine looked last; `measured` is "" while the proxy is silent.

    `path` leads to the report.
    """

    service: str
    path: str
    release: str
    phase: str
    running: bool
    stage: int
    stages: int
    wanted: str
    configured: str
    measured: str
    looked: str
    why: str
    waits: tuple[str, ...]
    gates: tuple[Gate, ...]


class Earlier(Struct, frozen=True, kw_only=True):
    """A rollout that is over, and not the newest of its service."""

    service: str
    service_path: str
    path: str
    release: str
    outcome: str
    good: bool
    ended: Instant
    took: str
    why: str


def earlier(found: Iterable[Ended], newest: Iterable[Rollout], now: datetime) -> tuple[Earlier, ...]:
    """The rollouts before the newest ones, newest first."""
    current = {one.id for one in newest}
    return tuple(
        Earlier(
            service=one.service,
            service_path=service_page(one.service),
            path=rollout_page(one.service, one.id),
            release=one.release,
            outcome=one.phase.replace("_", " "),
            good=one.phase == "done",
            ended=instant(datetime.fromtimestamp(one.ended_at, UTC), now),
            took=span(one.ended_at - one.begun_at),
            why=one.why,
        )
        for one in found
        if one.id not in current
    )


def cards(rollouts: Iterable[Rollout], now: float, *, ended_s: float | None = ENDED_SHOWN_S) -> tuple[Card, ...]:
    """Running rollouts first, and then those that ended within `ended_s`; None shows all."""
    shown = [one for one in rollouts if one.ended_at is None or ended_s is None or now - one.ended_at < ended_s]
    return tuple(_card(one, now) for one in sorted(shown, key=lambda one: (not one.runs, one.service)))


def _card(rollout: Rollout, now: float) -> Card:
    read = measured(rollout)
    return Card(
        service=rollout.service,
        path=rollout_page(rollout.service, rollout.id),
        release=rollout.release,
        phase=rollout.phase.replace("_", " "),
        running=rollout.runs,
        stage=rollout.stage + 1,
        stages=len(rollout.stages),
        wanted=f"{wanted(rollout):g} %",
        configured=f"{configured(rollout):g} %",
        measured="" if read is None else f"{read:g} %",
        looked=span(now - rollout.looked_at),
        why=str(rollout.state.get("why", "")),
        waits=waits_for(rollout, now),
        gates=tuple(_gate(one) for one in (rollout.look or {}).get("measured", ())),
    )


def _gate(raw: Mapping[str, Any]) -> Gate:
    return Gate(
        name=str(raw.get("gate", "")),
        verdict=str(raw.get("verdict", "")),
        value=gate_figure(raw, "value"),
        bound=gate_figure(raw, "bound"),
        why=str(raw.get("why", "")),
    )
