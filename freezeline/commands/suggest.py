"""`freezeline suggest`: objectives and thresholds from the recorded past, as a diff of the spec."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from freezeline import headers
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs
from freezeline.terminal import progress
from generator.backtest.fetch import Fetch
from generator.backtest.suggest import Suggestions, difference, suggest
from generator.checks import live
from generator.units import SECOND, parse_duration_ms

DAYS = 30.0
PAUSE_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Suggest objectives and thresholds from the past in Prometheus, as a diff of the spec. Standard error tells "
        "what each objective would have cost, and the normal range behind each threshold. Nothing is changed."
    )
    parser.epilog = "Example: freezeline suggest slos/shop.yaml --prometheus http://localhost:9090"
    parser.add_argument("spec", help="the spec file")
    headers.add_options(parser, use="the URL of the Prometheus that holds the past", required=True)
    parser.add_argument("--days", type=float, default=DAYS, help=f"how far to look back (default: {DAYS:g})")
    parser.add_argument("--end", metavar="SECONDS", type=float, help="end at this time since 1970 (default: now)")
    parser.add_argument("--step", metavar="DURATION", help="look at instants so far apart")
    parser.add_argument(
        "--pause", metavar="SECONDS", type=float, default=PAUSE_S, help=f"wait between queries (default: {PAUSE_S:g})"
    )
    parser.add_argument("--resume", metavar="DIR", type=Path, help="keep answers in this folder, for a second run")
    specs.add_scope(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of the diff")


def run(args: argparse.Namespace) -> int:
    """Load the spec, ask, suggest, print."""
    try:
        step_s = parse_duration_ms(args.step) // SECOND if args.step else None
        sent = headers.read(args.header, os.environ)
    except ValueError as error:
        sys.stderr.write(f"freezeline suggest: {error}\n")
        return USAGE
    end = int(args.end if args.end is not None else time.time())
    loaded = specs.load([args.spec], args.scope)
    if loaded is None:
        return USAGE
    if specs.report(loaded, as_json=False, brief=[args.spec]):
        return PROBLEMS
    (spec,) = loaded.output_set.specs
    try:
        prometheus = live.connect(args.prometheus, sent)
        with progress("queries", sys.stderr) as told:
            fetch = Fetch(ask=prometheus.query_range, told=told, kept=args.resume, pause_s=args.pause)
            found = suggest(spec, end - int(args.days * 86400), end, fetch, step_s)
        text = Path(args.spec).read_text("utf-8")
    except (live.PrometheusError, OSError) as error:
        sys.stderr.write(f"freezeline suggest: {error}\n")
        return ENVIRONMENT
    if args.json:
        print(json.dumps(values(found)))
        return OK
    sys.stderr.write("".join(f"{line}\n" for line in lines(found)))
    sys.stdout.write(difference(args.spec, text, found))
    return OK


def lines(found: Suggestions) -> list[str]:
    """For people: the reasons of each suggestion."""
    shown = []
    for one in found.objectives:
        shown.append(f"{one.slo}: {one.reached:.3f} % reached; objective {one.written}, suggested {one.suggested}")
        shown += [
            f"  {cost.objective:>6} %: at least {cost.lowest:.1%} of the budget left, {cost.pages} pages"
            for cost in one.costs
        ]
    for alert in found.thresholds:
        least, most = min(one.median for one in alert.hours), max(one.p99 for one in alert.hours)
        shown.append(
            f"{alert.alert}: {alert.key} {alert.written}, suggested {alert.suggested}; median from {least:.4g}, "
            f"99th percentile up to {most:.4g} by the hour of the day"
        )
    return [*shown, *(f"note: {note}" for note in found.notes)]


def values(found: Suggestions) -> dict[str, Any]:
    """For programs."""
    return {
        "objectives": [
            {
                "slo": one.slo,
                "written": str(one.written),
                "reached": f"{one.reached:.6f}",
                "suggested": str(one.suggested),
                "costs": [
                    {"objective": str(cost.objective), "lowest": cost.lowest, "pages": cost.pages} for cost in one.costs
                ],
            }
            for one in found.objectives
        ],
        "thresholds": [
            {
                "alert": one.alert,
                "key": one.key,
                "written": one.written,
                "suggested": one.suggested,
                "hours": [
                    {"hour": hour.hour, "median": hour.median, "p95": hour.p95, "p99": hour.p99, "p01": hour.p01}
                    for hour in one.hours
                ],
            }
            for one in found.thresholds
        ],
        "notes": list(found.notes),
    }
