"""Shows what a webhook would do, without doing it: runs the planner over a copy of the journal's state."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freezeline.problems import Problems
from receiver.decide.model import NO_TRACE, Alert, new_id
from receiver.decide.plan import Change, Known, Opened, on_alert
from receiver.journal import JournalError, View, reading
from receiver.policy.directory import read_directory
from receiver.policy.model import Policies
from receiver.settings import load_settings
from receiver.webhook.ingest import NotADeliveryError, parse_delivery
from receiver.webhook.process import pending_rollbacks


class AnyChannel(Collection[str]):
    """The channels of a receiver whose settings nobody named: every name is a channel."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class ReplayError(Exception):
    """The payload or the journal cannot be read."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def replay(
    body: bytes, *, policy_dir: Path, config: Path | None, state_dir: Path | None, problems: Problems
) -> dict[str, Any]:
    """Plan every alert of a payload. If `problems` has errors, do not use the answer. Raises ReplayError.

    Nothing runs, so the commands of the policies need not be here. Without a `config`, every channel exists.
    """
    settings = load_settings(config, os.environ, problems)
    channels = AnyChannel() if config is None else settings.channels
    loaded = read_directory(policy_dir, channels=channels, problems=problems, guarded=False)
    in_force = tuple(policy for policy, _ in loaded.policies.values())
    policies = Policies(in_force=in_force, by_sha256={policy.sha256: policy for policy in in_force})
    try:
        delivery = parse_delivery(body)
    except NotADeliveryError as error:
        raise ReplayError(str(error), 1) from error
    if state_dir is None:
        planned = [_plan(alert, Known(), policies) for alert in delivery.alerts]
    else:
        try:
            with reading(state_dir / "journal.db", postgres=settings.journal_postgres) as view:
                planned = [_plan(alert, _known(view, alert), policies) for alert in delivery.alerts]
        except JournalError as error:
            raise ReplayError(str(error), 3) from error
    return {
        "alerts": planned,
        "quarantined": [{"index": bad.index, "why": bad.why} for bad in delivery.quarantined],
        "truncated": delivery.truncated,
    }


def _known(view: View, alert: Alert) -> Known:
    episodes = view.newest_episodes([alert.fingerprint]).get(alert.fingerprint, [])
    pending = {episode.id: pending_rollbacks(view, episode) for episode in episodes}
    seen = view.seen([alert.fingerprint]).get(alert.fingerprint)
    return Known(seen=seen, episodes=episodes, pending=pending, incident=view.incident)


def _plan(alert: Alert, known: Known, policies: Policies) -> dict[str, Any]:
    changes = on_alert(alert, known, policies, now=datetime.now(UTC), ids=new_id, trace=NO_TRACE)
    return {
        "alert": alert.name,
        "status": alert.status.value,
        "fingerprint": alert.fingerprint,
        "changes": [_shown(change) for change in changes],
    }


def _shown(change: Change) -> dict[str, Any]:
    actions = change.actions if isinstance(change, Opened) else ()
    return {
        "change": type(change).__name__.lower(),
        "sentence": change.sentence,
        "actions": [{"type": action.type.value, "name": action.name} for action in actions],
    }
