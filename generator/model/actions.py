"""What the receiver does when an alert fires: the values of a spec's `actions` section."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from freezeline.problems import Position
from generator.model.command import Command
from generator.units import SECOND

LEGACY_TIMEOUT_MS = 10 * SECOND


class LegacyCommand(Struct, frozen=True, kw_only=True):
    """An existing freezer driven by two commands, one on freeze and one on release."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    timeout_ms: int


class LegacyFile(Struct, frozen=True, kw_only=True):
    """An existing freezer that looks for a file. `{reason}`, `{service}` and `{since}` in `text` are filled in."""

    file: str
    text: str


class FreezeAction(Struct, frozen=True, kw_only=True):
    """Holds the flag file; its existence is the freeze."""

    name: str
    flag: str
    legacy: tuple[LegacyCommand | LegacyFile, ...]
    position: Position


class Verify(Struct, frozen=True, kw_only=True):
    """A command that says whether the rollback is done: by an exit status in `done` or in `not_done`."""

    command: Command
    done: tuple[int, ...]
    not_done: tuple[int, ...]


class Undo(Struct, frozen=True, kw_only=True):
    """For how long after its start a rollback can be taken back, and how once it has ended."""

    within_ms: int
    command: tuple[str, ...]
    timeout_ms: int


class RollbackAction(Struct, frozen=True, kw_only=True):
    """Takes a release back: `command` runs at most once per release, or per episode where none can be read."""

    name: str
    command: Command
    cwd: str
    env: Mapping[str, str]
    grace_ms: int  # between TERM and KILL after the timeout
    output_max_bytes: int
    verify: Verify | None
    release: Command | None  # prints the release that is about to be removed
    once_per: str  # "release" or "episode"
    cooldown_ms: int
    max_per_day: int
    undo: Undo | None
    position: Position


class NotifyAction(Struct, frozen=True, kw_only=True):
    """Tells channels of the receiver's settings; `fallback` where one fails for good. No events: the usual ones."""

    name: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    position: Position = field(default=Position(""))


Action = FreezeAction | RollbackAction | NotifyAction
