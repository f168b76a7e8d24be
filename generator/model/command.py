"""A command of a spec, as a value."""

from __future__ import annotations

from msgspec import Struct


class Command(Struct, frozen=True, kw_only=True):
    """A program, its arguments, and how long it may run."""

    argv: tuple[str, ...]
    timeout_ms: int
