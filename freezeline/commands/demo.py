"""`freezeline demo`: break a small service on this machine, and watch the freeze and the rollback."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS
from freezeline.demo import show
from freezeline.demo.programs import DemoError
from freezeline.demo.story import STORY_LIMIT_S, Told, tell

INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Start a small service in two releases, Prometheus, Alertmanager, the receiver, a stand-in for Slack and "
        "`freezeline toast --print`. Deploy the bad release, and show each step from the breach to the end of the "
        "freeze. The exit code is 0 if each step was seen exactly once and in time, else 1. The demo takes about a"
        " minute, uses free loopback ports and a temporary directory, and leaves nothing running."
    )
    parser.epilog = "Example: freezeline demo --keep"
    parser.add_argument("--keep", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="print the outcome as JSON to stdout, and live lines to stderr"
    )


def run(args: argparse.Namespace) -> int:
    """Play the demo."""
    return play(keep=args.keep, as_json=args.json)


def play(*, keep: bool, as_json: bool, example: Path | None = None, story_limit_s: float | None = None) -> int:
    """Play the demo on an example (default: the committed one), and return the exit code; see `story.tell`."""
    outcomes: list[Told] = []

    def say(text: str) -> None:
        try:
            print(text, file=sys.stderr if as_json else sys.stdout, flush=True)
        except BrokenPipeError:
            # Python's own flush at its end would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise DemoError("nobody reads the output any more, so the demo stopped everything") from None

    def over(told: Told) -> None:
        outcomes.append(told)
        if as_json:
            print(json.dumps(show.as_json(told.timeline, told.verdict, told.addresses)), flush=True)
            return
        for text in ("", "timeline", *show.table(told.timeline), "", *show.verdict_lines(told.verdict), ""):
            say(text)

    try:
        limit_s = STORY_LIMIT_S if story_limit_s is None else story_limit_s
        asyncio.run(tell(say, keep=keep, over=over, example=example, story_limit_s=limit_s))
    except DemoError as error:
        sys.stderr.write(f"freezeline demo: {error}\n")
        return ENVIRONMENT
    except asyncio.CancelledError:
        if not outcomes:
            sys.stderr.write("interrupted: the demo stopped everything\n")
            return INTERRUPTED
    return OK if outcomes[0].verdict.ok else PROBLEMS
