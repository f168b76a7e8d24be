"""The drill of recovery: the newest backup of each store is restored beside the store, checked and compared.

RPO is the age of the backup that was restored. RTO is the time that all restores took, one after the other, until each
store was compared with what the backup must hold. A new backup is taken afterwards, for the next drill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from release.drill import backups
from release.drill.backups import Backup, Store
from release.drill.experiment import DrillError, Experiment, Outcome, Step

RESTORE_LIMIT_S = 3600.0


class Found(Struct, frozen=True, kw_only=True):
    """One store's restore: its time, the age of the backup, and notes."""

    rto_s: float
    rpo_s: float
    notes: tuple[str, ...]


class Recovery(Struct, kw_only=True):
    """Stores, where their backups are, and a scratch directory for what is restored."""

    stores: Sequence[Store]
    backups: Path
    scratch: Path
    keep: int
    clock: Callable[[], datetime]
    found: dict[str, Found] = field(default_factory=dict)
    chosen: dict[str, Backup] = field(default_factory=dict)

    def experiment(self) -> Experiment:
        """Choose backups, restore each, and take new ones."""
        return Experiment(
            steady_state=(),
            method=(
                *(self._step(f"backup of {store.name}", store, self._choose) for store in self.stores),
                *(self._step(f"restore of {store.name}", store, self._restore) for store in self.stores),
                *(self._step(f"next backup of {store.name}", store, self._take) for store in self.stores),
            ),
            rollbacks=(),
        )

    def _step(self, title: str, store: Store, do: Callable[[Store], None]) -> Step:
        async def carried_out() -> None:
            await asyncio.to_thread(do, store)

        return Step(title=title, do=carried_out, limit_s=RESTORE_LIMIT_S)

    def _choose(self, store: Store) -> None:
        """The newest backup. Without one, a first backup is taken now."""
        found = backups.newest(store, self.backups)
        self.chosen[store.name] = found or self._new(store)

    def _restore(self, store: Store) -> None:
        backup, begun = self.chosen[store.name], time.monotonic()
        rpo_s = (self.clock() - backup.manifest.taken_at).total_seconds()
        place = self.scratch / store.name
        place.mkdir(mode=0o700)
        restored = store.restore(backup.folder, place)
        wrong = backups.differences(backup.manifest.contents, restored.contents, now=self.clock().timestamp())
        if wrong:
            raise DrillError(f"what was restored is not whole: {'; '.join(wrong[:5])}")
        self.found[store.name] = Found(rto_s=time.monotonic() - begun, rpo_s=rpo_s, notes=restored.notes)

    def _take(self, store: Store) -> None:
        self._new(store)

    def _new(self, store: Store) -> Backup:
        return backups.take(store, self.backups, clock=self.clock, keep=self.keep)


class Measured(Struct, frozen=True, kw_only=True):
    """What a drill of recovery says. Without every store restored, nothing is measured and nothing is proven."""

    rto_s: float | None
    rpo_s: float | None
    integrity: bool
    notes: tuple[str, ...]


def measured(recovery: Recovery, outcome: Outcome) -> Measured:
    """Add the stores up. RPO is that of the oldest backup."""
    found = [recovery.found[store.name] for store in recovery.stores if store.name in recovery.found]
    whole = bool(found) and len(found) == len(recovery.stores) and outcome.began
    return Measured(
        rto_s=sum(one.rto_s for one in found) if whole else None,
        rpo_s=max(one.rpo_s for one in found) if whole else None,
        integrity=whole,
        notes=tuple(note for one in found for note in one.notes),
    )
