"""`freezeline demo`: break a small service on this machine and watch the loop close."""

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
        "`freezeline toast --print` on free loopback ports in a temporary directory; deploy the bad release; show each "
        "step from the breach to the release of the freeze. Exit 0 only if each step was seen exactly once and in "
        "time; 1 names what is missing. Nothing is left running. It takes about a minute."
    )
    parser.add_argument("--keep", action="store_true", help="leave everything up afterwards, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="the outcome as JSON on stdout; live lines go to stderr")


def run(args: argparse.Namespace) -> int:
    """Play the demo."""
    return play(keep=args.keep, as_json=args.json)


def play(*, keep: bool, as_json: bool, example: Path | None = None, story_limit_s: float | None = None) -> int:
    """Play the demo on an example (default: the committed one) and return the exit code; see `story.tell`."""
    outcomes: list[Told] = []

    def say(text: str) -> None:
        try:
            print(text, file=sys.stderr if as_json else sys.stdout, flush=True)
        except BrokenPipeError:
            # Python would fail again when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise DemoError("nobody reads the output any more; everything is stopped") from None

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
            sys.stderr.write("interrupted; everything is stopped\n")
            return INTERRUPTED
    return OK if outcomes[0].verdict.ok else PROBLEMS
