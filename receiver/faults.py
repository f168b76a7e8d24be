"""What the running receiver knows to be wrong with itself, told once and until it is over.

Each loop reports what it cannot do under a kind ("flag", "loop", "journal", …) and a name. Health, metrics and the page
show every fault; the log gets one line when a fault begins, changes or ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

log = logging.getLogger(__name__)


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong: what, and since when."""

    why: str
    since: datetime


class Faults:
    """The present faults. Only the event loop's thread uses this class."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._found: dict[tuple[str, str], Fault] = {}

    def report(self, kind: str, name: str, why: str, *, error: BaseException | None = None) -> bool:
        """Note that something is wrong; "" means that nothing is. Returns whether this is news, which the log gets.

        `error` adds a traceback to the log, for errors that nobody foresaw.
        """
        before = self._found.get((kind, name))
        if why == (before.why if before else ""):
            return False
        extra = {"kind": kind, "name_of_fault": name, "why": why}
        if why:
            self._found[kind, name] = Fault(why=why, since=before.since if before else self._clock())
            log.error("fault.found", extra=extra, exc_info=error)
        else:
            del self._found[kind, name]
            log.warning("fault.over", extra={**extra, "why": before.why if before else ""})
        return True

    def keep(self, kind: str, names: set[str]) -> None:
        """Drop the faults of a kind whose names no longer matter, such as flags that no policy names any more."""
        for name in [name for other, name in self._found if other == kind and name not in names]:
            self.report(kind, name, "")

    def of(self, kind: str) -> Mapping[str, Fault]:
        """The faults of one kind, by name."""
        return {name: fault for (other, name), fault in sorted(self._found.items()) if other == kind}

    def said(self, kind: str) -> str:
        """All faults of one kind in one text; "" if there is none. A cause that several share stands once."""
        names: dict[str, list[str]] = {}
        for name, fault in self.of(kind).items():
            names.setdefault(fault.why, []).append(name)
        return "; ".join(f"{', '.join(those)}: {why}" if any(those) else why for why, those in names.items())
