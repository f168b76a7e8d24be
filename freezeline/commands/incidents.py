"""`freezeline incidents`: the incidents of the journal, with the mean times to recovery and to acknowledgement."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from freezeline import journal_place
from freezeline.problems import printable
from receiver.decide.model import Incident, stamp_ms
from receiver.decide.recovery import MeanTimes, mean_times
from receiver.journal import JournalError, reading

OK, PROBLEMS, USAGE, ENVIRONMENT = 0, 1, 2, 3
DAYS = 30.0
LAST = 20


class Found(Struct, frozen=True, kw_only=True):
    """What the journal knows: the newest incidents, and the mean times of all of them."""

    newest: Sequence[Incident]
    times: MeanTimes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "List the newest incidents, and print the mean times to recovery (MTTR) and to acknowledgement (MTTA). The "
        "command reads the journal, also while the receiver is stopped. Exit code 1 means that a limit is exceeded."
    )
    parser.epilog = "Example: freezeline incidents --state /var/lib/freezeline --mttr-at-most 300"
    journal_place.add_options(parser)
    parser.add_argument("--service", help="only incidents of this service")
    parser.add_argument("--days", type=float, default=DAYS, help=f"how far to look back (default: {DAYS:g})")
    parser.add_argument(
        "--last", type=int, default=LAST, metavar="N", help=f"list this many of the newest incidents (default: {LAST})"
    )
    parser.add_argument(
        "--mttr-at-most",
        type=float,
        metavar="SECONDS",
        help="exit with 1 if the mean time to recovery is longer, or if no incident has ended",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Read the journal, and print."""
    journal = journal_place.of(args)
    if journal is None:
        sys.stderr.write("freezeline incidents: name the receiver's state directory with --state DIR\n")
        return USAGE
    now = datetime.now(UTC)
    since = now - timedelta(days=args.days)
    try:
        with reading(journal, postgres=args.postgres) as view:
            newest = view.incidents(service=args.service, limit=max(args.last, 0))
            times = mean_times(view.lasted(since, service=args.service))
    except JournalError as error:
        sys.stderr.write(f"freezeline incidents: {error}\n")
        return ENVIRONMENT
    found = Found(newest=[one for one in newest if one.opened_at >= since], times=times)
    print(json.dumps(_values(found)) if args.json else "\n".join(lines(found, now)))
    return _judged(times, args.mttr_at_most)


def _judged(times: MeanTimes, at_most_s: float | None) -> int:
    if at_most_s is None:
        return OK
    if times.recovery is None:
        sys.stderr.write("freezeline incidents: no incident has ended, so there is no mean time to recovery\n")
        return PROBLEMS
    if times.recovery.total_seconds() > at_most_s:
        took = _s(times.recovery)
        sys.stderr.write(f"freezeline incidents: the mean time to recovery is {took}, more than {at_most_s:g} s\n")
        return PROBLEMS
    return OK


def lines(found: Found, now: datetime) -> list[str]:
    """The incidents, newest first, then the mean times."""
    said = [_line(one, now) for one in found.newest]
    times = found.times
    said.append(f"{times.ended} ended, {times.open} open")
    if times.recovery is not None and times.longest is not None:
        said.append(f"mean time to recovery: {_s(times.recovery)}, the longest {_s(times.longest)}")
    if times.acknowledgement is not None:
        said.append(f"mean time to acknowledgement: {_s(times.acknowledgement)}")
    return said


def _line(one: Incident, now: datetime) -> str:
    lasted = _s(one.ended_at - one.opened_at) if one.ended_at else f"open for {_s(now - one.opened_at)}"
    what = f"{one.service}  {one.first.alert or 'by hand'}: {one.first.reason}"
    return f"{stamp_ms(one.opened_at)}  {lasted}  {printable(what)}"


def _s(span: timedelta) -> str:
    return f"{span.total_seconds():.1f} s"


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)


def _values(found: Found) -> dict[str, object]:
    times = found.times
    return {
        "mttr_s": _seconds(times.recovery),
        "longest_s": _seconds(times.longest),
        "mtta_s": _seconds(times.acknowledgement),
        "ended": times.ended,
        "open": times.open,
        "incidents": [
            {
                "id": one.first.id,
                "service": one.service,
                "alert": one.first.alert,
                "severity": one.first.severity,
                "reason": one.first.reason,
                "opened_at": stamp_ms(one.opened_at),
                "ended_at": stamp_ms(one.ended_at) if one.ended_at else None,
                "acknowledged_by": one.acked_by or None,
                "episodes": one.episodes,
            }
            for one in found.newest
        ],
    }
