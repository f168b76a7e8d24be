"""Whether Alertmanager reaches the receiver at all. Pure: the clock is passed in."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from receiver.decide.model import stamp_ms


class Hearing(Struct, kw_only=True):
    """What has arrived since the start. `expected`: the settings name an Alertmanager, so something must arrive.

    The watchdog arrives every 30 s. A silence of `deaf_after` means that the path to the receiver is broken. Receivers
    that share a journal stand behind one balancer, or Alertmanager sends to each: what one hears counts for all.
    """

    started_at: datetime
    expected: bool
    deaf_after: timedelta
    heard_at: datetime | None = None
    watchdog_at: datetime | None = None
    refused: int = 0
    refused_at: datetime | None = None

    def heard(self, at: datetime, *, watchdog: bool) -> None:
        """Note a webhook with the right token."""
        self.heard_at = at
        if watchdog:
            self.watchdog_at = at

    def heard_by_another(self, at: datetime) -> None:
        """Note when some receiver heard the watchdog. While this one refuses webhooks, its token is a wrong one."""
        if self.refused_at is not None and at - self.refused_at < self.deaf_after / 2:
            return
        if at > max(self.started_at, self.watchdog_at or self.started_at):
            self.heard(at, watchdog=True)

    def refuse(self, at: datetime) -> None:
        """Note a webhook without the right token."""
        self.refused += 1
        self.refused_at = at

    def deaf(self, now: datetime) -> str:
        """Why the receiver counts as deaf; "" if alerts arrive, or if none is expected yet."""
        if not self.expected:
            return ""
        if self.heard_at is None and now - self.started_at >= self.deaf_after:
            return (
                f"no webhook of Alertmanager has arrived since the start at {stamp_ms(self.started_at)}: {self._why()}"
            )
        if self.watchdog_at is not None and now - self.watchdog_at >= self.deaf_after:
            return (
                f"the watchdog, which always fires, has not arrived since {stamp_ms(self.watchdog_at)}: {self._why()}"
            )
        return ""

    def _why(self) -> str:
        if not self.refused:
            return "check Alertmanager's route to this receiver"
        return f"{self.refused} came without the token in tokens/webhook. Give Alertmanager a copy of this file"
