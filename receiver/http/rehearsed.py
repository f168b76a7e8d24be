"""The newest rehearsals, for metrics."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from receiver.rehearsals import FILE, HistoryError, Rehearsal, newest, read

log = logging.getLogger(__name__)


async def newest_of(state_dir: Path) -> tuple[Rehearsal, ...]:
    """Every rehearsal that the metrics show: the newest of each service and kind, and the newest that succeeded.

    A history that cannot be read is logged, and hides its own metrics alone.
    """
    return await asyncio.to_thread(_newest, state_dir / FILE)


def _newest(path: Path) -> tuple[Rehearsal, ...]:
    try:
        found = read(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (HistoryError, OSError) as error:
        log.warning("rehearsals.unreadable", extra={"error": str(error)})
        return ()
    succeeded = newest(one for one in found if one.ok)
    return (*succeeded.values(), *(one for key, one in newest(found).items() if one is not succeeded.get(key)))
