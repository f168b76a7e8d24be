"""The demo's output: lines during the run, then the timeline and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freezeline.demo.timeline import Held, Sighting, Step, Timeline, Verdict

_WIDTH = max(len(step) for step in Step)


def line(timeline: Timeline, sighting: Sighting) -> str:
    """One step: seconds since the breach, the step's name, and what was seen."""
    return f"{timeline.since_breach_s(sighting.at):+8.2f} s  {sighting.step:<{_WIDTH}}  {sighting.detail}"


def table(timeline: Timeline) -> list[str]:
    """The whole timeline, sorted by time."""
    return [line(timeline, sighting) for sighting in sorted(timeline.sightings, key=lambda sighting: sighting.at)]


def verdict_lines(verdict: Verdict) -> list[str]:
    """The verdict and its reasons."""
    lines = [_limit(held) for held in verdict.limits]
    lines += [f"missing: {step}" for step in verdict.missing]
    lines += [f"seen more than once: {step}" for step in verdict.repeated]
    lines += [f"unexpected: {what}" for what in verdict.unexpected]
    lines.append(
        "GOOD: every step was seen, each exactly once"
        if verdict.ok
        else "BAD: a step is missing, late, unexpected, or was seen twice"
    )
    return lines


def _limit(held: Held) -> str:
    took = "not seen" if held.took_s is None else f"{held.took_s:.2f} s"
    word = "ok" if held.ok else "TOO LATE" if held.took_s is not None else "MISSING"
    return f"{held.limit.start} → {held.limit.end}: {took}, at most {held.limit.at_most_s:g} s: {word}"


def as_json(timeline: Timeline, verdict: Verdict, addresses: Mapping[str, str]) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "ok": verdict.ok,
        "steps": [
            {
                "step": sighting.step,
                "at": sighting.at,
                "since_breach_s": round(timeline.since_breach_s(sighting.at), 3),
                "detail": sighting.detail,
            }
            for sighting in sorted(timeline.sightings, key=lambda sighting: sighting.at)
        ],
        "limits": [
            {
                "from": held.limit.start,
                "to": held.limit.end,
                "took_s": None if held.took_s is None else round(held.took_s, 3),
                "at_most_s": held.limit.at_most_s,
                "ok": held.ok,
            }
            for held in verdict.limits
        ],
        "missing": list(verdict.missing),
        "repeated": list(verdict.repeated),
        "unexpected": list(verdict.unexpected),
        "addresses": dict(addresses),
    }
