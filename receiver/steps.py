"""Names every boundary between two steps at which a kill must do no harm.

The code calls `reached(Step.…)` at each boundary. In production this call does nothing. The acceptance tests pass a
function that kills the process, once for each member, so every new member is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A boundary between two steps, named after the step that has just ended."""

    WEBHOOK_READ = "webhook.read"
    JOURNAL_BEFORE_COMMIT = "journal.before_commit"
    JOURNAL_COMMITTED = "journal.committed"
    WEBHOOK_ANSWERING = "webhook.answering"
    FREEZE_TEMPORARY_WRITTEN = "freeze.temporary_written"
    FREEZE_FLAG_RENAMED = "freeze.flag_renamed"
    FREEZE_DIRECTORY_SYNCED = "freeze.directory_synced"
    FREEZE_FLAG_RECORDED = "freeze.flag_recorded"
    FREEZE_LEGACY_DRIVEN = "freeze.legacy_driven"
    FREEZE_RECORDED = "freeze.recorded"
    ROLLBACK_RELEASE_READ = "rollback.release_read"
    ROLLBACK_PREPARED = "rollback.prepared"
    ROLLBACK_STARTING = "rollback.starting"
    ROLLBACK_SPAWNED = "rollback.spawned"
    ROLLBACK_RUNNING = "rollback.running"
    ROLLBACK_ENDED = "rollback.ended"
    ROLLBACK_VERIFYING = "rollback.verifying"
    ROLLBACK_VERIFIED = "rollback.verified"
    ROLLBACK_RECORDED = "rollback.recorded"
    NOTICE_RUNNING = "notice.running"
    NOTICE_SENT = "notice.sent"
    NOTICE_RECORDED = "notice.recorded"
    UNFREEZE_PLANNED = "unfreeze.planned"
    UNFREEZE_FLAG_REMOVED = "unfreeze.flag_removed"
    UNFREEZE_LEGACY_DRIVEN = "unfreeze.legacy_driven"
    UNFREEZE_RECORDED = "unfreeze.recorded"
    SWITCH_INTENT_RECORDED = "switch.intent_recorded"
    SWITCH_TEMPORARY_WRITTEN = "switch.temporary_written"
    SWITCH_FILE_RENAMED = "switch.file_renamed"
    SWITCH_DIRECTORY_SYNCED = "switch.directory_synced"
    SWITCH_RECORDED = "switch.recorded"
    MIGRATION_COPY_WRITTEN = "migration.copy_written"
    MIGRATION_COPIED = "migration.copied"
    MIGRATION_STATEMENT = "migration.statement"
    MIGRATION_COMMITTED = "migration.committed"


Reached = Callable[[Step], None]


def pass_by(_step: Step) -> None:
    """Do nothing. Production passes this function."""
