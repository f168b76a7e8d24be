"""What the engine stores of one stage's A/B test, and how the database's text is made and read."""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct

from release.ab.judge import Judgement
from release.ab.stage import Progress


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
