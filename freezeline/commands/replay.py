"""`freezeline replay FILE`: show what a webhook body would do, without doing anything."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from freezeline.problems import Problems, printable, render
from freezeline.terminal import painter
from receiver.webhook.replay import ReplayError, replay


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show which decisions and actions a webhook body of Alertmanager would cause. Nothing is executed."
    )
    parser.epilog = "Example: freezeline replay webhook.json --policy policy/"
    parser.add_argument("file", help="a file with a webhook body of Alertmanager; `-` reads standard input")
    parser.add_argument(
        "--policy",
        metavar="DIR",
        default=os.environ.get("FREEZELINE_POLICY"),
        help="the directory of *.policy.json files (also FREEZELINE_POLICY)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=os.environ.get("FREEZELINE_CONFIG"),
        help="read the channels of this receiver.yaml (also FREEZELINE_CONFIG)",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=None,
        help="plan with the history of this receiver (default: without any history)",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    if args.policy is None:
        sys.stderr.write("freezeline replay: name the policy directory with --policy DIR\n")
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
            sys.stderr.write(render(problem, paint=painter(sys.stderr)) + "\n")
        return 1
    if args.json:
        print(json.dumps(outcome))
    else:
        _print(outcome)
    return 0


def _print(outcome: dict[str, Any]) -> None:
    for alert in outcome["alerts"]:
        print(f"{printable(alert['alert']) or '(no name)'} {alert['status']}:")
        for change in alert["changes"] or [
            {"sentence": "nothing: the receiver already knows this alert", "actions": []}
        ]:
            print(f"  {printable(change['sentence'])}")
            for action in change["actions"]:
                print(f"    {action['type']} {printable(action['name'])}")
    for bad in outcome["quarantined"]:
        print(f"alert {bad['index']} would be quarantined: {printable(bad['why'])}")
