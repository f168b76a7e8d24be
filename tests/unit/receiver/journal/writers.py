"""Writers of one journal: deliveries of a single alert, processed as the receiver does."""

import json
from datetime import datetime, timedelta
from typing import Any

from receiver.decide.model import NO_TRACE, new_id
from receiver.journal import Journal, Store
from receiver.policy.model import Policies
from receiver.steps import Reached, pass_by
from receiver.webhook.process import Processing
from tests.unit.receiver.builders import NOW, policies, policy

START = "2026-11-21T08:17:42Z"
FINGERPRINT = "b42cef305cefc9ab"


def body(status: str = "firing", starts_at: str = START, name: str = "FailureRateHigh", **changes: Any) -> bytes:
    """A delivery of one alert."""
    alert = {
        "status": status,
        "labels": {"alertname": name, "service": "gateway"},
        "annotations": {"summary": "x"},
        "startsAt": starts_at,
        "endsAt": "2026-11-21T08:18:11Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": FINGERPRINT,
    }
    return json.dumps({"version": "4", "alerts": [{**alert, **changes}]}).encode()


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now


class Writer:
    """A journal and policies that can be replaced. Writers of one journal may share a clock."""

    def __init__(self, store: Store, *, clock: Clock | None = None, reached: Reached = pass_by) -> None:
        self.clock = clock or Clock()
        self.policies: Policies = policies(policy())
        self.journal = Journal(store, clock=self.clock, reached=reached)

    @property
    def now(self) -> datetime:
        """The clock's time."""
        return self.clock.now

    async def process(self, data: bytes, after_s: float = 1) -> int:
        """Process one delivery, so long after the last one; how many decisions it brought."""
        self.clock.now += timedelta(seconds=after_s)
        processing = Processing(data, self.policies, ids=new_id, trace=NO_TRACE, at=self.now)
        return (await self.journal.write(processing.process, prepare=processing.parse)).decided

    async def states(self) -> list[str]:
        """States of all live episodes."""
        return [one.state.value for one in await self.journal.read(lambda view: view.live_episodes())]

    async def last_at(self) -> tuple[datetime, datetime]:
        """When the alert's last message came: on disk, and as a transaction knows it."""
        on_disk = (await self.journal.read(lambda view: view.seen((FINGERPRINT,))))[FINGERPRINT]
        inside = (await self.journal.write(lambda tx: tx.seen((FINGERPRINT,))))[FINGERPRINT]
        return on_disk.last_at, inside.last_at
