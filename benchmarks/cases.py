"""The months of `budget_accuracy`: traffic, outages, and one `Case` for each kind of month that people really have."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.months import DAY, HOUR, LENGTH, Case, Rate, Spans

# -- traffic


def daily(at: float) -> float:
    """Requests per second over a day: 1 at night, 19 at noon."""
    return 10 - 9 * math.cos(2 * math.pi * at / DAY)


def steady(at: float) -> tuple[float, float]:
    """An even trickle of errors."""
    return daily(at), 0.003


def incident(begin: float, length: float, ratio: float) -> Rate:
    """Steady, and one incident."""

    def rate(at: float) -> tuple[float, float]:
        return daily(at), ratio if begin <= at < begin + length else 0.002

    return rate


def even(per_hour: float, ratio: float) -> Rate:
    """So many requests an hour, all month."""
    return lambda _at: (per_hour / HOUR, ratio)


def idle(at: float) -> tuple[float, float]:
    """Traffic in office hours only."""
    return (5.0 if 8 <= at % DAY / HOUR < 17 else 0.0), 0.004


def growing(at: float) -> tuple[float, float]:
    """Ten times the traffic at the end of what there was at the beginning."""
    return daily(at) * (1 + 9 * at / LENGTH) / 5, 0.002 + 0.004 * at / LENGTH


PEAK = 20 * DAY + 12 * HOUR
_BEFORE, _LENGTH = HOUR, 4 * HOUR
_IN_OUTAGE = incident(PEAK - _BEFORE, _LENGTH, 0.06)
LOOK_EVERY = 2 * HOUR  # the raw counters are looked at
# When they are, after each even hour: the last rollup is four and a half minutes old then, the worst.
LOOK_AFTER = 1201.0
_UNTIL_LOOK = incident(PEAK - _BEFORE, _BEFORE + HOUR + LOOK_AFTER - 330, 0.06)
_DAY_BEFORE_END = LENGTH - DAY

WORLDS: dict[str, Spans] = {
    "quiet": (),
    "outage-3m": ((PEAK, PEAK + 180),),
    "outage-10m": ((PEAK, PEAK + 600),),
    "outage-70m": ((PEAK, PEAK + 4200),),
    "outage-before-look": ((PEAK, PEAK + HOUR + LOOK_AFTER - 100),),
    "outage-4h": ((PEAK - 0.5 * HOUR, PEAK + 3.5 * HOUR),),
    "outage-20h": ((PEAK - 2 * HOUR, PEAK + 18 * HOUR),),
    "outage-26h": ((PEAK - 2 * HOUR, PEAK + 24 * HOUR),),
    "day-after-26h": ((_DAY_BEFORE_END - 26 * HOUR, _DAY_BEFORE_END),),
    "missed": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 600) for day in range(1, 31)),
    "outages": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 4200) for day in range(3, 31, 3)),
    "daily-40m": tuple((day * DAY + 5 * HOUR, day * DAY + 5 * HOUR + 2400) for day in range(1, 31)),
}

# Processes end twice a day, and with them the series of their users.
_USERS: dict[str, Any] = {"poisson": True, "restart_s": 12 * HOUR, "scrape_s": 60.0}

_AT_RESTART = "Events between the last scrape of a process and its end were never scraped. No rule can find them."
_NEW_POD = (
    "The first events of a new pod are on its counters before the first scrape. Nobody can tell them from old ones."
)
_IN_AN_OUTAGE = "A pod that ends while Prometheus is down takes the events since the last scrape with it."

CASES = (
    Case(name="steady", title="steady", rate=steady),
    Case(name="night-incident", title="incident at night", rate=incident(20 * DAY, HOUR, 0.3)),
    Case(name="peak-incident", title="incident at peak", rate=incident(PEAK, HOUR, 0.06)),
    Case(name="growing", title="traffic grows tenfold", rate=growing),
    Case(name="idle-hours", title="idle outside office hours", rate=idle),
    Case(name="sparse", title="20 requests an hour", rate=even(20, 0.02), poisson=True),
    Case(name="one-an-hour", title="one request an hour", rate=even(1, 0.1), poisson=True),
    Case(name="hundred-a-day", title="100 requests a day", rate=even(100 / 24, 0.05), poisson=True),
    Case(name="two-hundred-a-day", title="200 requests a day", rate=even(200 / 24, 0.05), poisson=True),
    Case(
        name="sparse-jitter",
        title="20 requests an hour, scrapes come up to 12 s late",
        rate=even(20, 0.05),
        poisson=True,
        jitter_s=12,
    ),
    Case(
        name="sparse-slow-scrape",
        title="20 requests an hour, scraped every 60 s instead of 30 s",
        rate=even(20, 0.05),
        poisson=True,
        scrape_s=60,
    ),
    Case(name="slow-scrape", title="scraped every 60 s instead of 30 s", rate=steady, scrape_s=60),
    Case(
        name="scrapes-slow-down",
        title="scraped every 15 s, and every 60 s from mid-month on",
        rate=steady,
        scrape_s=15,
        scrape_then_s=60,
    ),
    Case(name="resets", title="counters reset daily", rate=steady, restart_s=DAY),
    Case(name="reset-storm", title="counters reset every 12 min", rate=steady, restart_s=0.2 * HOUR, lost=_AT_RESTART),
    Case(
        name="newborn-churn",
        title="new pods daily, error series born with their first error",
        rate=steady,
        restart_s=DAY,
        churn=True,
        lost=_NEW_POD,
    ),
    Case(
        name="churn-hourly",
        title="new pods hourly",
        rate=incident(PEAK, 6 * HOUR, 0.05),
        restart_s=HOUR,
        churn=True,
        lost=_NEW_POD,
    ),
    Case(
        name="short-lived-pods",
        title="new pods every 10 min, each with errors",
        rate=even(7200, 0.01),
        restart_s=600,
        churn=True,
        lost=_NEW_POD,
    ),
    Case(
        name="vanishes",
        title="error series vanish for hours and return",
        rate=steady,
        vanishes=tuple((d * DAY, d * DAY + 1800.0 * d) for d in range(2, 30, 3)),
    ),
    Case(
        name="errors-relabelled",
        title="error series get one more label",
        rate=steady,
        relabelled="errors",
        allowed=0.01,
    ),
    Case(name="all-relabelled", title="all series get one more label", rate=steady, relabelled="all", allowed=0.01),
    Case(
        name="users",
        title="a series per user, each born with the first request",
        rate=even(15, 0.1),
        new_user_ratio=0.5,
        allowed=0.01,
        **_USERS,
    ),
    Case(
        name="users-20-pods",
        title="a series per user, 20 pods",
        rate=even(10, 0.1),
        new_user_ratio=0.9,
        pods=20,
        allowed=0.01,
        **_USERS,
    ),
    Case(
        name="good-users",
        title="`good` of `total`, a series per user",
        rate=even(15, 0.1),
        new_user_ratio=0.5,
        sli="good",
        allowed=0.01,
        **_USERS,
    ),
    Case(
        name="good-born",
        title="`good` of `total`, good series born with their first event",
        rate=even(60, 0.3),
        poisson=True,
        restart_s=DAY,
        sli="good",
        allowed=0.01,
    ),
    Case(name="native", title="native histogram", rate=steady, restart_s=DAY, native=True),
    Case(
        name="born-mid-month", title="service begins in mid-month", rate=even(20, 0.05), poisson=True, born_at=15 * DAY
    ),
    Case(
        name="group-mid-month",
        title="a group of little traffic begins in mid-month",
        rate=even(60, 0.05),
        poisson=True,
        born_at=15 * DAY,
        grouped=True,
    ),
    Case(name="flaps", title="targets fail for 100 s every half hour", rate=steady, flaps_s=(1800.0, 100.0)),
    Case(name="outage-3m", title="outage of 3 min inside an incident", rate=_IN_OUTAGE, world="outage-3m"),
    Case(name="outage-10m", title="outage of 10 min", rate=_IN_OUTAGE, world="outage-10m"),
    Case(name="outage-70m", title="outage of 70 min inside an incident", rate=_IN_OUTAGE, world="outage-70m"),
    Case(name="outage-4h", title="outage of 4 h", rate=_IN_OUTAGE, world="outage-4h"),
    Case(name="outage-20h", title="outage of 20 h", rate=_IN_OUTAGE, world="outage-20h"),
    Case(name="outage-26h", title="outage of 26 h", rate=_IN_OUTAGE, world="outage-26h"),
    Case(
        name="day-after-26h",
        title="outage of 26 h that ended a day ago",
        rate=incident(_DAY_BEFORE_END - 27 * HOUR, 4 * HOUR, 0.06),
        world="day-after-26h",
    ),
    Case(
        name="missed-evaluations", title="no evaluation for 10 min each day", rate=steady, world="missed", scraped=True
    ),
    Case(
        name="ends-before-look",
        title="outage of 70 min, and the incident ends 5 min before gap repair",
        rate=_UNTIL_LOOK,
        world="outage-70m",
    ),
    Case(
        name="outage-before-look",
        title="outage that ends 2 min before gap repair",
        rate=_IN_OUTAGE,
        world="outage-before-look",
    ),
    Case(
        name="restart-in-outage",
        title="a pod restarts inside an outage",
        rate=_IN_OUTAGE,
        world="outage-70m",
        restarts=(PEAK + 2000,),
        lost=_IN_AN_OUTAGE,
    ),
    Case(
        name="churn-in-outage",
        title="new pods daily, and an outage of 70 min",
        rate=_IN_OUTAGE,
        world="outage-70m",
        restart_s=DAY,
        churn=True,
        lost=_IN_AN_OUTAGE,
    ),
    Case(
        name="sparse-outages",
        title="20 requests an hour, ten outages of 70 min",
        rate=even(20, 0.05),
        poisson=True,
        world="outages",
    ),
    Case(
        name="restarts-and-outages",
        title="daily restarts and daily outages of 40 min",
        rate=steady,
        world="daily-40m",
        restart_s=DAY,
    ),
)
