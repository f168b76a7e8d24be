"""What the receiver does when an alert fires: the values of a spec's `actions` section."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from freezeline.problems import Position
from generator.model.command import Command
from generator.units import SECOND

LEGACY_TIMEOUT_MS = 10 * SECOND


class LegacyCommand(Struct, frozen=True, kw_only=True):
    """An existing freezer that two commands drive: one starts the freeze, the other ends it."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    timeout_ms: int


class LegacyFile(Struct, frozen=True, kw_only=True):
    """An existing freezer that looks for a file. `text` may hold `{reason}`, `{service}` and `{since}`."""

    file: str
    text: str


class FreezeAction(Struct, frozen=True, kw_only=True):
    """Writes the flag file. The service is frozen while the file exists."""

    name: str
    flag: str
    legacy: tuple[LegacyCommand | LegacyFile, ...]
    position: Position


class Verify(Struct, frozen=True, kw_only=True):
    """A command that says whether the rollback is done: its exit code is in `done` or in `not_done`."""

    command: Command
    done: tuple[int, ...]
    not_done: tuple[int, ...]


class Undo(Struct, frozen=True, kw_only=True):
    """How long after its start a rollback can be undone, and by which command once it has ended."""

    within_ms: int
    command: tuple[str, ...]
    timeout_ms: int


class RollbackAction(Struct, frozen=True, kw_only=True):
    """Rolls a release back. `command` runs at most once for each release, or each episode if no release can be read."""

    name: str
    command: Command
    cwd: str
    env: Mapping[str, str]
    grace_ms: int  # between TERM and KILL after the timeout
    output_max_bytes: int
    verify: Verify | None
    release: Command | None  # prints the running release, before the rollback removes it
    once_per: str  # "release" or "episode"
    cooldown_ms: int
    max_per_day: int
    undo: Undo | None
    position: Position


class SwitchAction(Struct, frozen=True, kw_only=True):
    """Sets a feature flag in flagd's file to another default variant; `everyone` also takes its targeting away."""

    name: str
    file: str
    feature_flag: str
    variant: str
    everyone: bool
    position: Position


class NotifyAction(Struct, frozen=True, kw_only=True):
    """Sends a notice to channels of receiver.yaml; to `fallback` after a final failure. No events: the default."""

    name: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    position: Position = field(default=Position(""))


Action = FreezeAction | RollbackAction | SwitchAction | NotifyAction
