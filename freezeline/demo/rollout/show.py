"""The output of the canary demo: lines during the run, then the timeline and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from freezeline.demo.rollout.acts import Act
from freezeline.demo.rollout.record import Outcome, Record, Sighting, Step
from freezeline.terminal import Paint, plain

WORDS: Mapping[Step, Callable[[Sighting], str]] = {
    Step.BEGIN: lambda _: "the engine begins: freeze, alerts and the gate are asked first",
    Step.DEPLOYED: lambda one: f"the deploy command has put {one.release} on the canary's machine",
    Step.TRAFFIC: lambda one: f"HAProxy gives {one.release} {one.detail} of the traffic",
    Step.ALERT: lambda one: f"Prometheus and Alertmanager bring the alert {one.detail} to the receiver",
    Step.TAKEN_BACK: lambda one: f"the engine takes {one.release} back: {one.detail}",
    Step.NO_TRAFFIC: lambda one: f"HAProxy gives {one.release} no traffic any more",
    Step.NO_SESSIONS: lambda one: f"{one.release} has no session left",
    Step.FROZEN: lambda one: f"the receiver writes {one.detail}: pipelines stop",
    Step.ROLLED_BACK: lambda one: f"the rollback script has put {one.detail} on the canary's machine",
    Step.TOLD: lambda one: f"Slack reads “{one.detail}”",
    Step.ENDED: lambda one: f"the engine ends: {one.detail}",
    Step.UNFROZEN: lambda _: "an operator ends the freeze",
    Step.STABLE: lambda one: f"{one.release} is the stable release now",
}

STYLES: Mapping[Step, str] = {
    Step.TRAFFIC: "cyan",
    Step.TAKEN_BACK: "bold red",
    Step.NO_TRAFFIC: "yellow",
    Step.FROZEN: "red",
    Step.ROLLED_BACK: "yellow",
    Step.ENDED: "bold",
    Step.UNFROZEN: "green",
    Step.STABLE: "green",
}
"""How a terminal shows a step; all others are plain."""


def moment(seconds: float) -> str:
    """Minutes and seconds since the beginning."""
    tenths = max(0, round(seconds * 10))
    return f"{tenths // 600:3d}:{tenths % 600 // 10:02d}.{tenths % 10}"


def line(record: Record, one: Sighting, paint: Paint = plain) -> str:
    """One step in words, with its time."""
    words = WORDS[one.step](one)
    return f"{moment(record.since_s(one.at))}  {paint(STYLES[one.step], words) if one.step in STYLES else words}"


def heading(act: Act) -> str:
    """What an act is about."""
    return f"{act.release}, {act.words}"


def table(acts: Sequence[Act], record: Record, paint: Paint = plain) -> list[str]:
    """The whole timeline, act by act, each sorted by time."""
    lines = []
    for act in acts:
        seen = sorted(record.of(act.release), key=lambda one: one.at)
        lines += ["", paint("bold", heading(act)), *(line(record, one, paint) for one in seen)]
    return lines


def verdict_lines(
    acts: Sequence[Act], record: Record, wrong: Mapping[str, Sequence[str]], paint: Paint = plain
) -> list[str]:
    """What became of each release, and everything that did not go as said."""
    lines = []
    for act in acts:
        lines.append(_result(act, record))
        lines += [paint("red", f"  WRONG: {one}") for one in wrong[act.release]]
    if any(wrong.values()):
        return [*lines, paint("bold red", "BAD: something did not go as said; see the lines with WRONG")]
    good = "GOOD: the good release got all traffic, and every bad one was taken back, once"
    return [*lines, paint("bold green", good)]


def _result(act: Act, record: Record) -> str:
    outcome = record.outcomes.get(act.release)
    if outcome is None:
        return f"{heading(act)}: the rollout did not end"
    clients = f"clients saw {outcome.failed} of {outcome.sent} requests fail"
    return f"{heading(act)}: {outcome.phase.replace('_', ' ')}{_took(act, record)}; {clients}"


def _took(act: Act, record: Record) -> str:
    """How long a bad release had traffic."""
    first, last = record.of(act.release, Step.TRAFFIC), record.of(act.release, Step.NO_TRAFFIC)
    return f" after {last[0].at - first[0].at:.1f} s of traffic" if first and last and act.bad else ""


def as_json(
    acts: Sequence[Act], record: Record, wrong: Mapping[str, Sequence[str]], addresses: Mapping[str, str]
) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "ok": not any(wrong.values()),
        "releases": [
            {
                "release": act.release,
                "fault": act.fault,
                "outcome": _outcome(record.outcomes.get(act.release)),
                "wrong": list(wrong[act.release]),
                "steps": [
                    {
                        "step": one.step,
                        "at": one.at,
                        "since_begin_s": round(record.since_s(one.at), 3),
                        "detail": one.detail,
                    }
                    for one in sorted(record.of(act.release), key=lambda one: one.at)
                ],
            }
            for act in acts
        ],
        "addresses": dict(addresses),
    }


def _outcome(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {name: getattr(outcome, name) for name in Outcome.__struct_fields__}
