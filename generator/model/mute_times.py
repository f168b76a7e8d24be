"""Times in which a route is silent: the values of `routing.mute_times`."""

from __future__ import annotations

from msgspec import Struct

from freezeline.problems import Position


class MuteInterval(Struct, frozen=True, kw_only=True):
    """All parts must hold. `times` are (from, to) as `HH:MM`; the other parts are Alertmanager's own range texts."""

    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    location: str = ""  # IANA time zone; UTC where empty


class MuteTime(Struct, frozen=True, kw_only=True):
    """A named set of intervals; any of them mutes."""

    name: str
    intervals: tuple[MuteInterval, ...]
    position: Position
