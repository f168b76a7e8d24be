"""`freezeline backfill`: blocks with the past of the recorded series, from the counters in Prometheus."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from freezeline import headers
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs
from generator.checks import live
from generator.checks.live import Prometheus
from generator.model.spec import OutputSet
from generator.prometheus import backfill, backfill_run, promtool
from generator.prometheus.backfill import HEAD_MS, Part, Span
from generator.prometheus.backfill_run import Blocks
from generator.units import parse_duration_ms

DEADLINE_S = 3600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Rebuild the past of the recorded series from the counters in Prometheus, as TSDB blocks. With these "
        "blocks, error budgets are right on the first day."
    )
    parser.epilog = "Example: freezeline backfill slos/ --prometheus http://localhost:9090 -o blocks/"
    specs.add_argument(parser)
    headers.add_options(parser, use="the URL of the Prometheus that holds the counters", required=True)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="write the blocks into this empty folder")
    parser.add_argument(
        "--start",
        metavar="WHEN",
        help="begin at this time: `30d` (ago), or 2026-01-31T12:00:00Z (default: the SLO's window ago)",
    )
    parser.add_argument(
        "--end", metavar="WHEN", help="end at this time (default: where the live rules begin, at the latest 3h ago)"
    )
    specs.add_scope(parser)
    parser.add_argument("--slo", action="append", metavar="NAME", help="rebuild only this SLO; may be repeated")
    parser.add_argument(
        "--block", default="486h", metavar="18h", help="write blocks of at most this length (default: 486h)"
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=DEADLINE_S,
        metavar="SECONDS",
        help="stop after this many seconds (default: 3600)",
    )
    parser.add_argument("--promtool", metavar="PATH", help="use this promtool (default: FREEZELINE_PROMTOOL, PATH)")
    parser.add_argument("--dry-run", action="store_true", help="only print the rules that promtool would evaluate")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Load the specs, choose the spans, run promtool, and say how the blocks get into Prometheus."""
    now_s = int(time.time())
    try:
        start_s, end_s = (_instant(text, now_s) for text in (args.start, args.end))
        block_ms = parse_duration_ms(args.block)
        sent = headers.read(args.header, os.environ)
    except ValueError as error:
        sys.stderr.write(f"freezeline backfill: {error}\n")
        return USAGE
    loaded = specs.load(args.specs, args.scope)
    if loaded is None:
        return USAGE
    if specs.report(loaded, as_json=args.json, brief=args.specs):
        return PROBLEMS
    try:
        prometheus = live.connect(args.prometheus, sent)
        spans = _spans(loaded.output_set, prometheus, now_s=now_s, start_s=start_s, end_s=end_s)
        wanted = {key: span for key, span in spans.items() if not args.slo or key[1] in args.slo}
        parts = backfill.plan(loaded.output_set, wanted, block_ms)
        if not parts:
            sys.stderr.write(
                "freezeline backfill: nothing to do: no SLO has this name, or its past is already recorded\n"
            )
            return USAGE
        if args.dry_run:
            sys.stdout.write("".join(part.file.text()[0] for part in parts))
            return OK
        backfill_run.prepare(Path(args.output))
        tool = promtool.find("promtool", environment=os.environ, given=args.promtool)
        blocks = backfill_run.run(
            parts,
            tool,
            backfill_run.Server(url=args.prometheus, headers=sent),
            Path(args.output),
            deadline_s=args.deadline,
            progress=_progress,
        )
    except (live.PrometheusError, promtool.ToolError, backfill_run.BackfillError, OSError) as error:
        sys.stderr.write(f"freezeline backfill: {error}\n")
        return ENVIRONMENT
    _print_result(args, parts, blocks)
    return OK


def _instant(text: str | None, now_s: int) -> int | None:
    """Seconds since the epoch of `30d` (ago), a number of seconds, or an ISO time (UTC without a zone).

    Raises ValueError.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return now_s - parse_duration_ms(text) // 1000
    except ValueError:
        pass
    try:
        written = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: write 30d, or 2026-01-31T12:00:00Z") from error
    return int((written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp())


def _spans(
    output_set: OutputSet, prometheus: Prometheus, *, now_s: int, start_s: int | None, end_s: int | None
) -> dict[tuple[str, str], Span]:
    """The span of each SLO, by (service, slo). Raises PrometheusError."""
    live_since: dict[tuple[str, str], int] = {}
    asked = dict.fromkeys(
        backfill.live_since_query(slo, output_set.scope) for spec in output_set.specs for slo in spec.slos
    )
    for query in asked:
        for found in prometheus.query(query):
            labels = found["metric"]
            live_since[labels.get("service", ""), labels.get("slo", "")] = int(float(found["value"][1]))
    spans = {}
    for spec in output_set.specs:
        for slo in spec.slos:
            since = live_since.get((spec.service, slo.name))
            span = backfill.span_of(slo, now_s=now_s, live_since_s=since, start_s=start_s, end_s=end_s)
            _warn_of_hole(slo.name, since, span, end_s)
            if span is not None:
                spans[spec.service, slo.name] = span
    return spans


def _warn_of_hole(slo: str, live_since_s: int | None, span: Span | None, end_s: int | None) -> None:
    """Warn of a gap between the rebuilt past and the live rules."""
    if span is None or end_s is not None:
        return
    if live_since_s is None:
        hint = "load the generated rules, wait three hours, and run this command again"
        sys.stderr.write(f"{slo}: without live rules, the time from {_shown(span.end_s)} on stays empty; {hint}\n")
    elif live_since_s - span.end_s > 600:
        ready = _shown(live_since_s + HEAD_MS // 1000)
        sys.stderr.write(
            f"{slo}: {_shown(span.end_s)} to {_shown(live_since_s)} stays empty; run this command again after {ready}\n"
        )


def _shown(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _progress(done: int, total: int) -> None:
    """Show progress: one growing line on a terminal, elsewhere a line for each tenth."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rrule {done} of {total}" + ("\n" if done == total else ""))
    elif done == total or done % max(total // 10, 1) == 0:
        sys.stderr.write(f"rule {done} of {total}\n")
    sys.stderr.flush()


def _print_result(args: argparse.Namespace, parts: tuple[Part, ...], blocks: Blocks) -> None:
    if args.json:
        data = {
            "folder": str(blocks.folder),
            "blocks": blocks.count,
            "bytes": blocks.size_bytes,
            "parts": [
                {"name": part.name, "rules": part.rules, "start": _shown(part.start_s), "end": _shown(part.end_s)}
                for part in parts
            ],
        }
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
        return
    first, last = min(part.start_s for part in parts), max(part.end_s for part in parts)
    print(f"{blocks.count} blocks ({blocks.size_bytes / 1e6:.1f} MB) from {_shown(first)} to {_shown(last)}")
    print(f"in {blocks.folder}; to put them into Prometheus:")
    print("  1. stop Prometheus, and make its --storage.tsdb.retention.time longer than the SLO window")
    print(f"  2. mv {blocks.folder}/* DATA/     # DATA: its --storage.tsdb.path; keep the owner of the other blocks")
    print("  3. start Prometheus, which merges overlapping blocks. Versions before 2.39 need the flag")
    print("     --storage.tsdb.allow-overlapping-blocks, which 3.x does not accept")
