"""`freezeline verify`: prove with promtool when each alert fires and resets, and print the measured times."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs
from freezeline.terminal import Paint, painter, plain, progress
from generator.prometheus import promtool, verify
from generator.prometheus.verify import Row


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Run the proofs of all alerts with promtool, and print when each alert fires and resets."
    parser.epilog = "Example: freezeline verify slos/"
    specs.add_argument(parser)
    specs.add_scope(parser)
    parser.add_argument("--promtool", metavar="PATH", help="use this promtool (default: FREEZELINE_PROMTOOL, PATH)")
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="run this many test files at once (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON, with times in seconds")


def run(args: argparse.Namespace) -> int:
    """Prove all alerts of all specs."""
    if args.jobs < 1:
        sys.stderr.write("freezeline verify: --jobs takes a number of at least 1\n")
        return USAGE
    loaded = specs.load(args.specs, args.scope)
    if loaded is None:
        return USAGE
    if specs.report(loaded, as_json=args.json, brief=args.specs):
        return PROBLEMS
    try:
        tool = promtool.find("promtool", environment=os.environ, given=args.promtool)
        with (
            tempfile.TemporaryDirectory(prefix="freezeline-verify-") as folder,
            progress("promtool runs the proofs", sys.stderr) as told,
        ):
            rows = verify.run(loaded.output_set, tool, Path(folder), at_once=args.jobs, progress=told)
    except (promtool.ToolError, OSError) as error:
        sys.stderr.write(f"freezeline verify: {error}\n")
        return ENVIRONMENT
    if args.json:
        found = {"promtool": tool.version_text, "alerts": [row.as_json() for row in rows]}
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(table(rows, painter(sys.stdout)))
        _summarise(rows, tool.version_text)
    return PROBLEMS if any(row.failures for row in rows) else OK


def table(rows: list[Row], paint: Paint = plain) -> str:
    """The rows for people: a line that names the alert, then a line for each result."""
    lines = []
    spec = ""
    for row in rows:
        if row.spec != spec:
            spec = row.spec
            lines.append(paint("bold", spec) + f"\n{'=' * len(spec)}")
        lines.append((paint("bold red", "FAILED ") if row.failures else "") + row.alert)
        shown = (
            ("fires when", row.fires_when),
            ("detected after", "; ".join(measured.text() for measured in row.detected)),
            ("resets after", "; ".join(measured.text() for measured in row.resets)),
            ("silent", ", ".join(row.silent)),
        )
        lines += [f"  {name:<15} {text}" for name, text in shown if text]
        lines += [f"  not proven      {text}" for text in row.gaps]
        lines += [f"  failed          {text}" for text in row.failures]
    return "\n".join(lines) + "\n" if lines else ""


def _summarise(rows: list[Row], version: str) -> None:
    failed = sum(bool(row.failures) for row in rows)
    partly = sum(bool(row.gaps) for row in rows)
    sys.stderr.write(f"{len(rows)} alerts, {failed} failed, {partly} not proven in full, by promtool {version}\n")
