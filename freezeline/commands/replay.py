"""`freezeline replay FILE`: what a webhook payload would do, without doing it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from freezeline.problems import Problems, printable, render
from receiver.webhook.replay import ReplayError, replay


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="a webhook body as Alertmanager sends it; - is standard input")
    parser.add_argument(
        "--policy",
        metavar="DIR",
        default=os.environ.get("FREEZELINE_POLICY"),
        help="directory of *.policy.json (also FREEZELINE_POLICY)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=os.environ.get("FREEZELINE_CONFIG"),
        help="receiver.yaml, for its channels (also FREEZELINE_CONFIG)",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=None,
        help="plan against what this receiver knows; without it, as if nothing had happened before",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what would follow."""
    if args.policy is None:
        sys.stderr.write("freezeline replay: --policy DIR is needed\n")
        return 2
    problems = Problems()
    try:
        body = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
        outcome = replay(
            body,
            policy_dir=Path(args.policy),
            config=Path(args.config) if args.config else None,
            state_dir=Path(args.state) if args.state else None,
            problems=problems,
        )
    except ReplayError as error:
        sys.stderr.write(f"freezeline replay: {printable(str(error))}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"freezeline replay: {error}\n")
        return 3
    if problems.errors:
        for problem in problems:
            sys.stderr.write(render(problem) + "\n")
        return 1
    if args.json:
        print(json.dumps(outcome))
    else:
        _print(outcome)
    return 0


def _print(outcome: dict[str, Any]) -> None:
    for alert in outcome["alerts"]:
        print(f"{printable(alert['alert']) or '(no name)'} {alert['status']}:")
        for change in alert["changes"] or [{"sentence": "nothing new: it is known", "actions": []}]:
            print(f"  {printable(change['sentence'])}")
            for action in change["actions"]:
                print(f"    {action['type']} {printable(action['name'])}")
    for bad in outcome["quarantined"]:
        print(f"alert {bad['index']} would be put aside: {printable(bad['why'])}")
