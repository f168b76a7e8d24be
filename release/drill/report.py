"""The history of rehearsals for people and programs: how often, how well, RTO, RPO and MTTR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from receiver.plaintext import plain
from receiver.rehearsals import Rehearsal

MEASURES: Mapping[str, str] = {
    "rto": "RTO",
    "rpo": "RPO",
    "mttr": "MTTR",
    "deploy": "deploy",
    "rollback": "rollback",
    "first_event": "first event",
}
"""What a rehearsal may measure, and what people call the measure."""

DAY = timedelta(days=1)


class Measured(Struct, frozen=True, kw_only=True):
    """One measure over the rehearsals that took it, in seconds."""

    last_s: float
    mean_s: float
    worst_s: float


class OfKind(Struct, frozen=True, kw_only=True):
    """The rehearsals of one service and kind: how many, how many went well, the newest, and its measures."""

    service: str
    kind: str
    rehearsals: int
    succeeded: int
    last: Rehearsal
    measures: Mapping[str, Measured]


class Report(Struct, frozen=True, kw_only=True):
    """Everything since `since`. `mttr_s` is the mean over every rehearsal that measured a repair, whatever its kind."""

    since: datetime
    at: datetime
    kinds: tuple[OfKind, ...]
    mttr_s: float | None


def report(rehearsals: Iterable[Rehearsal], *, service: str | None, since: datetime, at: datetime) -> Report:
    """Add the history up. With `service`, only rehearsals of this service count."""
    chosen = sorted(
        (one for one in rehearsals if since <= one.ended_at <= at and service in {None, one.service}),
        key=lambda one: one.ended_at,
    )
    groups: dict[tuple[str, str], list[Rehearsal]] = {}
    for one in chosen:
        groups.setdefault((one.service, one.kind), []).append(one)
    repairs = [one.mttr_s for one in chosen if one.mttr_s is not None]
    return Report(
        since=since,
        at=at,
        kinds=tuple(_of_kind(*key, groups[key]) for key in sorted(groups)),
        mttr_s=sum(repairs) / len(repairs) if repairs else None,
    )


def _of_kind(service: str, kind: str, found: Sequence[Rehearsal]) -> OfKind:
    taken: dict[str, list[float]] = {}
    for one in found:
        for name, value in one.seconds().items():
            taken.setdefault(name, []).append(value)
    return OfKind(
        service=service,
        kind=kind,
        rehearsals=len(found),
        succeeded=sum(one.ok for one in found),
        last=found[-1],
        measures={
            name: Measured(last_s=values[-1], mean_s=sum(values) / len(values), worst_s=max(values))
            for name, values in taken.items()
        },
    )


def as_values(made: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "since": made.since.isoformat(),
        "at": made.at.isoformat(),
        "mttr_s": made.mttr_s,
        "kinds": [
            {
                "service": one.service,
                "kind": one.kind,
                "rehearsals": one.rehearsals,
                "succeeded": one.succeeded,
                "last": {
                    "ended_at": one.last.ended_at.isoformat(),
                    "ok": one.last.ok,
                    "release": one.last.release,
                    "spec": one.last.spec,
                    "host": one.last.host,
                    "runs": one.last.runs,
                    "integrity": one.last.integrity,
                    "connected": one.last.connected,
                    "legs": dict(one.last.legs),
                    "why": list(one.last.why),
                },
                "measures": {
                    name: {"last_s": value.last_s, "mean_s": value.mean_s, "worst_s": value.worst_s}
                    for name, value in one.measures.items()
                },
            }
            for one in made.kinds
        ],
    }


def as_text(made: Report) -> list[str]:
    """The report for people at a terminal."""
    lines = []
    for one in made.kinds:
        word = "ok" if one.last.ok else "FAILED"
        age = _age(made.at - one.last.ended_at)
        counts = f"{one.succeeded} of {one.rehearsals} succeeded"
        lines.append(f"{plain(one.service, 80)}  {one.kind}: {word} {age} ago, {counts}")
        lines += [
            f"  {MEASURES[name]}: last {_s(value.last_s)}, mean {_s(value.mean_s)}, worst {_s(value.worst_s)}"
            for name, value in one.measures.items()
        ]
        lines += [f"  {name}: {_s(value)}" for name, value in one.last.legs.items()]
        if one.last.connected is not None:
            lines.append(f"  streams answered: {one.last.connected:.1%}")
        lines += [f"  integrity {'proven' if one.last.integrity else 'NOT PROVEN'}"] * (one.last.integrity is not None)
        lines += [f"  {plain(why, 300)}" for why in one.last.why]
    if not made.kinds:
        lines.append(f"no rehearsal since {made.since:%Y-%m-%d %H:%M} UTC")
    lines += [f"MTTR over all rehearsals: {_s(made.mttr_s)}"] * (made.mttr_s is not None)
    return lines


def as_markdown(made: Report) -> str:
    """The report as Markdown, for a pipeline's summary or a wiki."""
    lines = [
        f"## Rehearsals since {made.since:%Y-%m-%d}",
        "",
        f"| service | kind | last | succeeded | {' | '.join(MEASURES.values())} |",
        f"|{' --- |' * (4 + len(MEASURES))}",
    ]
    for one in made.kinds:
        word = "ok" if one.last.ok else "**failed**"
        cells = [
            _cell(one.service),
            _cell(one.kind),
            f"{word}, {one.last.ended_at:%Y-%m-%d %H:%M}",
            f"{one.succeeded} of {one.rehearsals}",
            *(_s(one.measures[name].last_s) if name in one.measures else "–" for name in MEASURES),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"MTTR over all rehearsals: {_s(made.mttr_s)}"] * (made.mttr_s is not None)
    for one in made.kinds:
        lines += [f"- {_cell(one.service)} {_cell(one.kind)}: {_cell(why)}" for why in one.last.why]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return plain(text, 300).replace("|", "\\|").replace("<", "&lt;")


def _s(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _age(age: timedelta) -> str:
    if age >= DAY:
        return f"{age / DAY:.1f} d"
    return f"{age / timedelta(hours=1):.1f} h" if age >= timedelta(hours=1) else f"{age.total_seconds() / 60:.0f} min"
