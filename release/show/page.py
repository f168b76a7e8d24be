"""The report of a rollout as values for the receiver's page. `freezeline serve` hands `reported` to the receiver."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sqlite3
from collections.abc import Container, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from freezeline.problems import Problems
from receiver.rollout_report import AbResult, Asked, Happened, Line, Measurement, RolloutReport
from receiver.rollouts import RolloutsError
from release.ab.kept import Point
from release.canary.state import Tick
from release.canary.verdict import Measured, Verdict
from release.policy import read
from release.policy.canary import Canary
from release.show import report
from release.show.markdown import as_markdown
from release.show.record import record_of
from release.show.report import Experiment, Record
from release.show.status import moment
from release.store.database import KEEP_EVERY_LOOK_S, THIN_LOOKS_S, Database, Look, Rollout, Step, StoreError

MEASUREMENTS_SHOWN = 200
POINTS_MAX = 300
"""A graph has at most so many points."""

NEW_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
DETAILS = ("release", "by", "outcome", "reason", "why")
"""Members of an event that people read."""


def reported(directory: Path, service: str, rollout: str) -> RolloutReport | None:
    """The report of one rollout from its service's database; None where there is no such rollout.

    Raises RolloutsError if the database or the rollout's policy cannot be read.
    """
    path = directory / f"{service}.db"
    try:
        if path.parent != directory or not path.exists():
            return None
        with contextlib.closing(Database(path, writes=False)) as database:
            found = next((one for one in database.rollouts(-1) if one.id == rollout), None)
            if found is None:
                return None
            looks = database.looks(found.id, -1)
            return values(record_of(service, found, _canary(found), database, looks=looks, draw=None))
    except (StoreError, sqlite3.Error, OSError, ValueError) as error:
        raise RolloutsError(f"{path}: {error}") from error


def _canary(rollout: Rollout) -> Canary:
    """What the policy of a rollout says about canaries. Raises RolloutsError."""
    problems = Problems()
    policy = read.parse(rollout.policy, file=f"the policy of rollout {rollout.id}", problems=problems)
    if policy is None or policy.canary is None:
        said = "; ".join(f"{one.position}: {one.message}" for one in problems) or "the policy has no canary"
        raise RolloutsError(said)
    return policy.canary


def values(record: Record) -> RolloutReport:
    """All of the report: counts and newest measurements, graphs, events, and A/B tests."""
    state, rollout = record.rollout.state, record.rollout
    return RolloutReport(
        service=record.service,
        id=rollout.id,
        release=state.release,
        stable=state.stable,
        phase=state.phase.value.replace("_", " "),
        why=state.why,
        begun_at=rollout.begun_at,
        ended_at=rollout.ended_at,
        stage=state.stage + 1,
        stages=len(record.canary.stages),
        asked=[_asked(one) for one in report.gates(record)],
        counted=report.counted(record.looks),
        lines=lines(record.looks, [gate.id for gate in record.canary.gates if gate.op == ">="]),
        happened=[_happened(one) for one in record.steps],
        tests=[_tested(one) for one in record.experiments],
        measurements=_newest(record.looks),
        measured=sum(len(look.tick.measured) for look in record.looks),
        broken=record.broken,
        markdown=as_markdown(record),
    )


def _asked(gate: dict[str, Any]) -> Asked:
    window = f"{gate['window_s']:g} s" if gate["window_s"] else ""
    return Asked(gate=gate["gate"], queries=tuple(gate["queries"].items()), window=window)


def _newest(looks: Sequence[Look]) -> list[Measurement]:
    """The newest measurements, the newest first."""
    every = ((look, one) for look in reversed(looks) for one in look.tick.measured)
    return [
        Measurement(
            at=moment(look.at),
            stage=look.stage + 1,
            gate=one.gate,
            verdict=one.verdict.value,
            value=report.known(one.value, one.unit),
            bound=report.known(one.bound, one.unit),
            samples="" if one.samples is None else f"{one.samples:,}",
            why=one.why,
        )
        for look, one in itertools.islice(every, MEASUREMENTS_SHOWN)
    ]


def _happened(step: Step) -> Happened:
    event = json.loads(step.body) if step.body else {}
    details = [str(event[name]) for name in DETAILS if event.get(name)] + event.get("reasons", [])
    words = "the engine looked at the canary" if step.event == Tick.__name__ else NEW_WORD.sub(" ", step.event).lower()
    what = f"{words}: {', '.join(details)}" if details else words
    return Happened(at=step.at, what=what, phase=step.phase.replace("_", " "), stage=step.stage + 1)


def _tested(one: Experiment) -> AbResult:
    columns, *rows = one.table
    return AbResult(stage=one.stage + 1, said=one.said, columns=columns, rows=rows, lines=_gaps(one.points))


def _gaps(points: Sequence[Point]) -> list[Line]:
    """How far the canary's share of bad events was from the stable one's, at each look at each metric."""
    gaps: dict[str, list[tuple[float, Decimal]]] = {}
    for one in points:
        gaps.setdefault(one.metric, []).append((one.at_s, Decimal(str(round(100 * one.gap, 6)))))
    return [
        Line(name=f"{metric}: canary − stable, in percentage points", unit="", points=found, bound=None, at_least=False)
        for metric, found in gaps.items()
        if len(found) > 1
    ]


def lines(looks: Sequence[Look], at_least: Container[str] = ()) -> list[Line]:
    """Each gate's values, at most POINTS_MAX: of each span of time the last breach, or else the last value.

    `at_least` names the gates whose bound is the least that is good.
    """
    each_s = _span(looks)
    drawn: dict[str, dict[int, Measured]] = {}
    newest: dict[str, Measured] = {}
    for look in looks:
        place = min(int((look.at - looks[0].at) / each_s), POINTS_MAX - 1)
        for one in look.tick.measured:
            newest[one.gate] = one
            there = drawn.setdefault(one.gate, {}).get(place)
            if one.value is not None and (there is None or _breach(one) or not _breach(there)):
                drawn[one.gate][place] = one
    return [
        Line(
            name=f"Gate {gate}",
            unit=newest[gate].unit,
            points=[
                (looks[0].at + (place + 0.5) * each_s, one.value)
                for place, one in places.items()
                if one.value is not None
            ],
            bound=newest[gate].bound,
            at_least=gate in at_least,
        )
        for gate, places in drawn.items()
    ]


def _span(looks: Sequence[Look]) -> float:
    """The span of time that becomes one point: long enough that each span has a look, and a line has no holes."""
    if len(looks) <= 1:
        return 1.0
    span_s = looks[-1].at - looks[0].at
    gaps = sorted(later.at - earlier.at for earlier, later in itertools.pairwise(looks))
    # Of old looks that said nothing new, the database keeps one in THIN_LOOKS_S.
    return max(span_s / POINTS_MAX, 2 * gaps[len(gaps) // 2], 2 * THIN_LOOKS_S if span_s > KEEP_EVERY_LOOK_S else 0)


def _breach(one: Measured) -> bool:
    return one.verdict is Verdict.BREACH
