"""What the engine stores of one stage's A/B test, and how the database's text is made and read. Needs no scipy."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from release.ab.counting import Counts
from release.ab.findings import Judgement


class Point(Struct, frozen=True, kw_only=True):
    """One metric at one planned look, for the report. `bound` is None where no bound applied."""

    at_s: float
    metric: str
    z: float
    bound: float | None
    gap: float
    low: float
    high: float


class Progress(Struct, frozen=True, kw_only=True):
    """Everything that the engine stores of a stage's test. `times` are the information times of planned looks."""

    counts: Counts
    due_s: float
    times: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    ended: bool = False


class Kept(Struct, frozen=True, kw_only=True):
    """How far a test came, its last outcome with the words, and the last look. None: no look was kept."""

    progress: Progress
    outcome: str = ""
    text: str = ""
    judgement: Judgement | None = None


def encode(kept: Kept) -> str:
    """The text for the database. A bound may be infinite, which Python's JSON writes, and msgspec's does not."""
    return json.dumps(msgspec.to_builtins(kept))


def decode(text: str) -> Kept:
    """Read the database's text."""
    return msgspec.convert(json.loads(text), Kept)
