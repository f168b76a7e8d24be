"""Everything that a database knows of one rollout."""

from __future__ import annotations

from release.ab.report import Draw
from release.policy.canary import Canary
from release.show.ab import experiments
from release.show.report import Record
from release.store.database import Database, Look, Rollout


def record_of(
    service: str,
    rollout: Rollout,
    canary: Canary,
    database: Database,
    *,
    looks: tuple[Look, ...],
    draw: Draw | None,
) -> Record:
    """The record of a rollout, for reports. `draw` makes the plots of A/B tests."""
    return Record(
        service=service,
        rollout=rollout,
        canary=canary,
        looks=looks,
        steps=database.steps(rollout.id),
        broken=database.verify(),
        experiments=experiments(service, rollout.release, database.every_ab(rollout.id), draw),
    )
