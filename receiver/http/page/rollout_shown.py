"""The report of one rollout, ready for its template: times, graphs, tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct

from receiver.figures import figure
from receiver.http.page.graph import Graph, Mark, graph
from receiver.http.page.words import Instant, instant
from receiver.http.rollout import span
from receiver.links import rollout_page, service_page
from receiver.rollout_report import AbResult, Asked, Counted, Happened, Line, Measurement, RolloutReport
from receiver.rollouts import FINAL

SHORTEST_S = 1.0
"""A graph shows at least so long a time."""

EVENTS_SHOWN = 300


class Event(Struct, frozen=True, kw_only=True):
    """Something that changed the rollout. `kind` is the phase afterwards."""

    at: Instant
    kind: str
    sentence: str


class Tested(Struct, frozen=True, kw_only=True):
    """The A/B test of one stage, with a graph for each metric."""

    result: AbResult
    graphs: Sequence[Graph]


class Told(Struct, frozen=True, kw_only=True):
    """One rollout with all numbers. `older` counts the measurements, and `earlier` the events, that are not listed."""

    service: str
    service_path: str
    file_path: str
    release: str
    stable: str
    phase: str
    good: bool
    running: bool
    why: str
    begun: Instant
    ended: Instant | None
    lasted: str
    stage: int
    stages: int
    counted: Sequence[Counted]
    graphs: Sequence[Graph]
    tests: Sequence[Tested]
    events: Sequence[Event]
    earlier: int
    asked: Sequence[Asked]
    measurements: Sequence[Measurement]
    older: int
    broken: int | None


def told(found: RolloutReport, now: datetime) -> Told:
    """The report of one rollout as seen now."""
    end_s = now.timestamp() if found.ended_at is None else found.ended_at
    return Told(
        service=found.service,
        service_path=service_page(found.service),
        file_path=rollout_page(found.service, found.id).replace("page/rollout?", "page/rollout.md?", 1),
        release=found.release,
        stable=found.stable,
        phase=found.phase,
        good=found.phase == "done",
        running=found.ended_at is None,
        why=found.why,
        begun=_at(found.begun_at, now),
        ended=None if found.ended_at is None else _at(found.ended_at, now),
        lasted=span(end_s - found.begun_at),
        stage=found.stage,
        stages=found.stages,
        counted=found.counted,
        graphs=[_graph(one, found, end_s) for one in found.lines if one.points],
        tests=[_tested(one) for one in found.tests],
        events=[_event(one, now) for one in found.happened[-EVENTS_SHOWN:]],
        earlier=max(0, len(found.happened) - EVENTS_SHOWN),
        asked=found.asked,
        measurements=found.measurements,
        older=found.measured - len(found.measurements),
        broken=found.broken,
    )


def _at(at_s: float, now: datetime) -> Instant:
    return instant(datetime.fromtimestamp(at_s, UTC), now)


def _event(one: Happened, now: datetime) -> Event:
    return Event(at=_at(one.at, now), kind=f"{one.phase}, stage {one.stage}", sentence=one.what)


def _graph(line: Line, found: RolloutReport, end_s: float) -> Graph:
    return graph(
        line.name,
        line.points,
        start_s=found.begun_at,
        end_s=max(end_s, found.begun_at + SHORTEST_S),
        shown=partial(figure, unit=line.unit),
        limit=None if line.bound is None else float(line.bound),
        marks=_marks(found.happened),
        floor=None if line.at_least else 0.0,
    )


def _tested(found: AbResult) -> Tested:
    """The looks of a test from the first to the last; the axis holds nought, where both releases are equal."""
    graphs = [
        graph(one.name, one.points, start_s=one.points[0][0], end_s=one.points[-1][0], shown="{:+.3f}".format)
        for one in found.lines
    ]
    return Tested(result=found, graphs=graphs)


def _marks(happened: Sequence[Happened]) -> Iterator[Mark]:
    """The beginning of each stage, and the end."""
    stage = 0
    for one in happened:
        at = datetime.fromtimestamp(one.at, UTC)
        if one.phase.replace(" ", "_") in FINAL or one.phase == "aborting":
            yield Mark(at=at, kind="rollback" if one.phase != "done" else "unfreeze", text=one.phase)
        elif one.stage > stage and one.phase == "settle":
            stage = one.stage
            yield Mark(at=at, kind="release", text=f"stage {stage}")
