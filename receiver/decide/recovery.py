"""How long incidents last: the mean times to recovery (MTTR) and to acknowledgement (MTTA).

The page and `freezeline incidents` show the numbers that this module computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct


class Lasted(Struct, frozen=True, kw_only=True):
    """When one incident began, was acknowledged, and when the service had recovered.

    A service has recovered when its last alert has resolved, or when people have ended the episode before. The time for
    which an alert must stay resolved is a precaution, and no outage. `recovered_at` is None while the incident is open.
    """

    service: str
    opened_at: datetime
    recovered_at: datetime | None = None
    acked_at: datetime | None = None


class MeanTimes(Struct, frozen=True, kw_only=True):
    """The mean times of incidents. Without an ended or acknowledged incident, the time is None.

    An open incident counts for the acknowledgement, and not for the recovery.
    """

    recovery: timedelta | None
    longest: timedelta | None
    acknowledgement: timedelta | None
    ended: int
    open: int


def mean_times(incidents: Sequence[Lasted]) -> MeanTimes:
    """The mean times of these incidents."""
    lasting = [one.recovered_at - one.opened_at for one in incidents if one.recovered_at is not None]
    return MeanTimes(
        recovery=_mean(lasting),
        longest=max(lasting, default=None),
        acknowledgement=_mean([one.acked_at - one.opened_at for one in incidents if one.acked_at is not None]),
        ended=len(lasting),
        open=len(incidents) - len(lasting),
    )


def _mean(spans: Iterable[timedelta]) -> timedelta | None:
    found = list(spans)
    return sum(found, timedelta(0)) / len(found) if found else None
