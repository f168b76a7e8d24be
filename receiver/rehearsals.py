"""The history of rehearsals: one line of JSON for each rehearsal that ended. `freezeline drill` writes the lines.

The gate, the receiver's metrics and `freezeline drill report` read them. docs/drill.md lists the members of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

FILE = "rehearsals.jsonl"
"""The history's name in the state directory."""

HOST = "FREEZELINE_HOST"
"""The variable that names the machine of rehearsals, where its own name changes: in a container, for example."""

MEASURES = ("rto", "rpo", "deploy", "rollback", "mttr", "first_event")
"""Times that a rehearsal may measure."""

Aware = Annotated[datetime, Meta(tz=True)]


class HistoryError(Exception):
    """A line of the history is no rehearsal. The message names the line."""


class Rehearsal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one rehearsal went. A member that the rehearsal did not measure is None.

    `spec` is the policy's `spec`, with the hash. `release` was live at the beginning. `host` is the machine that was
    rehearsed. `faults` names what was injected, `notes` tell
    what people should know although all is well, and `why` what went wrong. `legs` are measured parts in seconds.
    `first_event_s` is the 95th percentile over streams, and `connected` the share of the streams that were answered.
    """

    kind: str
    service: str
    ended_at: Aware
    started_at: Aware | None = None
    ok: bool = False
    spec: str = ""
    release: str = ""
    host: str = ""
    runs: int = 1
    succeeded: int | None = None
    faults: tuple[str, ...] = ()
    rto_s: float | None = None
    rpo_s: float | None = None
    integrity: bool | None = None
    deploy_s: float | None = None
    rollback_s: float | None = None
    mttr_s: float | None = None
    first_event_s: float | None = None
    connected: float | None = None
    legs: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    def seconds(self) -> dict[str, float]:
        """The measured times by their names: `rto`, `rpo`, `deploy`, `rollback`, `mttr` and `first_event`."""
        found = {name: getattr(self, f"{name}_s") for name in MEASURES}
        return {name: value for name, value in found.items() if value is not None}


def read(data: bytes) -> tuple[Rehearsal, ...]:
    """The rehearsals of a history, in the file's order. Raises HistoryError.

    A last line without its end was cut off by a crash, and does not count.
    """
    return tuple(_line(number, line) for number, line in enumerate(data.split(b"\n")[:-1], start=1))


def _line(number: int, line: bytes) -> Rehearsal:
    try:
        return msgspec.json.decode(line, type=Rehearsal)
    except msgspec.DecodeError as error:
        raise HistoryError(f"line {number} of the history is no rehearsal") from error


def encode(rehearsal: Rehearsal) -> bytes:
    """A rehearsal as a line of the history."""
    return msgspec.json.encode(rehearsal) + b"\n"


def newest(rehearsals: Iterable[Rehearsal]) -> dict[tuple[str, str], Rehearsal]:
    """The newest rehearsal of each service and kind."""
    ordered = sorted(rehearsals, key=lambda one: one.ended_at)
    return {(one.service, one.kind): one for one in ordered}
