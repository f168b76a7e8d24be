"""`freezeline backtest`: what the alerts, freezes and budgets of a spec would have done in the recorded past."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from freezeline import headers
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs, whole
from freezeline.terminal import progress
from generator.backtest import page, table
from generator.backtest.fetch import Fetch
from generator.backtest.past import Backtest, backtest
from generator.checks import live
from generator.model.spec import Spec
from generator.units import SECOND, parse_duration_ms

DAYS = 30.0
PAUSE_S = 0.1
SECONDS_MIN = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Ask Prometheus for the past, and show what a spec would have done. The outcome tells when each alert would "
        "have fired, how much budget was spent, and when the service would have been frozen. Nothing is changed."
    )
    parser.epilog = "Example: freezeline backtest slos/shop.yaml --prometheus http://localhost:9090 --days 30"
    parser.add_argument("spec", help="the spec file")
    add_past(parser)
    specs.add_scope(parser)
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the outcome as one HTML page with a picture")


def add_past(parser: argparse.ArgumentParser) -> None:
    """Declare which past is asked for, and how gently."""
    headers.add_options(parser, use="the URL of the Prometheus that holds the past", required=True)
    parser.add_argument("--days", type=float, default=DAYS, help=f"how far to look back (default: {DAYS:g})")
    parser.add_argument("--end", metavar="SECONDS", type=float, help="end at this time since 1970 (default: now)")
    parser.add_argument(
        "--step", metavar="DURATION", help="look at instants so far apart (default: the shortest that stays gentle)"
    )
    parser.add_argument(
        "--pause", metavar="SECONDS", type=float, default=PAUSE_S, help=f"wait between queries (default: {PAUSE_S:g})"
    )
    parser.add_argument(
        "--resume", metavar="DIR", type=Path, help="keep answers in this folder, so that a second run goes on with them"
    )


def run(args: argparse.Namespace) -> int:
    """Load the spec, ask, judge, print."""
    found = ask(args, "backtest")
    if isinstance(found, int):
        return found
    if args.html is not None:
        whole.write(args.html, page.render(found))
    print(json.dumps(table.values(found)) if args.json else "\n".join(table.lines(found)))
    return OK


def ask(args: argparse.Namespace, command: str) -> Backtest | int:
    """The outcome, or the exit code after a problem, which is reported."""
    try:
        step_s = parse_duration_ms(args.step) // SECOND if args.step else None
        sent = headers.read(args.header, os.environ)
    except ValueError as error:
        sys.stderr.write(f"freezeline {command}: {error}\n")
        return USAGE
    end = int(args.end if args.end is not None else time.time())
    start = end - int(args.days * 86400)
    if end - start < SECONDS_MIN or step_s == 0:
        sys.stderr.write(f"freezeline {command}: --days must be a minute at least, and --step a second\n")
        return USAGE
    loaded = specs.load([args.spec], args.scope)
    if loaded is None:
        return USAGE
    if specs.report(loaded, as_json=False, brief=[args.spec]):
        return PROBLEMS
    spec: Spec = loaded.output_set.specs[0]
    try:
        prometheus = live.connect(args.prometheus, sent)
        with progress("queries", sys.stderr) as told:
            fetch = Fetch(ask=prometheus.query_range, told=told, kept=args.resume, pause_s=args.pause)
            return backtest(spec, start, end, fetch, step_s)
    except (live.PrometheusError, OSError) as error:
        sys.stderr.write(f"freezeline {command}: {error}\n")
        return ENVIRONMENT
