"""`freezeline demo`: break a small service on this machine, and watch the freeze and the rollback."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.demo import show, story
from freezeline.demo.programs import DemoError
from freezeline.demo.rollout import show as show_rollouts
from freezeline.demo.rollout import story as rollouts
from freezeline.demo.rollout.acts import Fault
from freezeline.terminal import painter, progress

INTERRUPTED = 130

Say = Callable[[str], None]
Over = Callable[[bool, dict[str, Any], Sequence[str]], None]
"""Gets whether all went well, the outcome for programs, and the outcome for people."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Start a small service in two releases, Prometheus, Alertmanager, the receiver, a stand-in for Slack and "
        "`freezeline toast --print`. Deploy the bad release, and show each step from the breach to the end of the "
        "freeze. With --canary, roll releases out behind HAProxy instead: a good one, then one that errs, one that is "
        "slow, and one that leaks memory. The exit code is 0 if each step was seen exactly once and in time, else 1. "
        "The demo takes about a minute, with --canary about two, uses free loopback ports and a temporary directory, "
        "and leaves nothing running."
    )
    parser.epilog = "Example: freezeline demo --canary"
    parser.add_argument("--canary", action="store_true", help="roll out a good release and bad ones behind HAProxy")
    parser.add_argument(
        "--bad",
        action="append",
        choices=[fault.value for fault in Fault if fault is not Fault.NONE],
        metavar="FAULT",
        help="with --canary, only this bad release: errors, slow or leak; may be repeated",
    )
    parser.add_argument("--keep", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="print the outcome as JSON to stdout, and live lines to stderr"
    )


def run(args: argparse.Namespace) -> int:
    """Play the demo."""
    if args.canary:
        return play_rollouts([Fault(one) for one in args.bad or ()], keep=args.keep, as_json=args.json)
    if args.bad:
        sys.stderr.write("freezeline demo: --bad chooses releases of --canary: write --canary too\n")
        return USAGE
    return play(keep=args.keep, as_json=args.json)


def play(*, keep: bool, as_json: bool, example: Path | None = None, story_limit_s: float | None = None) -> int:
    """Play the demo on an example (default: the committed one), and return the exit code; see `story.tell`."""

    def tell(say: Say, over: Over) -> Coroutine[Any, Any, None]:
        def ended(told: story.Told) -> None:
            lines = [*show.table(told.timeline), "", *show.verdict_lines(told.verdict), ""]
            over(told.verdict.ok, show.as_json(told.timeline, told.verdict, told.addresses), lines)

        limit_s = story.STORY_LIMIT_S if story_limit_s is None else story_limit_s
        return story.tell(say, keep=keep, over=ended, example=example, story_limit_s=limit_s)

    return _play(tell, as_json=as_json)


def play_rollouts(
    faults: Sequence[Fault], *, keep: bool, as_json: bool, example: Path | None = None, act_limit_s: float | None = None
) -> int:
    """Play the demo of rollouts, and return the exit code; see `rollout.story.tell`."""
    paint = painter(sys.stderr if as_json else sys.stdout)

    def tell(say: Say, over: Over) -> Coroutine[Any, Any, None]:
        def ended(told: rollouts.Told) -> None:
            seen = told.acts, told.record
            verdict = show_rollouts.verdict_lines(*seen, told.wrong, paint)
            lines = [*show_rollouts.table(*seen, paint), "", *verdict, ""]
            over(told.ok, show_rollouts.as_json(*seen, told.wrong, told.addresses), lines)

        limit_s = rollouts.ACT_LIMIT_S if act_limit_s is None else act_limit_s
        return _advancing(
            lambda advanced: rollouts.tell(
                say,
                faults=faults,
                keep=keep,
                over=ended,
                example=example,
                act_limit_s=limit_s,
                advanced=advanced,
                paint=paint,
            ),
            quiet=as_json,
        )

    return _play(tell, as_json=as_json)


async def _advancing(tell: Callable[[Callable[[int, int], None]], Coroutine[Any, Any, None]], *, quiet: bool) -> None:
    """Show on a terminal how many releases are done. JSON on a terminal goes without, for it needs the same stream."""
    if quiet:
        await tell(lambda _done, _total: None)
        return
    with progress("releases", sys.stdout) as advanced:
        await tell(advanced)


def _play(tell: Callable[[Say, Over], Coroutine[Any, Any, None]], *, as_json: bool) -> int:
    """Play one of the demos, and return the exit code."""
    outcomes: list[bool] = []

    def say(text: str) -> None:
        try:
            print(text, file=sys.stderr if as_json else sys.stdout, flush=True)
        except BrokenPipeError:
            # Python's own flush at its end would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise DemoError("nobody reads the output any more, so the demo stopped everything") from None

    def over(ok: bool, outcome: dict[str, Any], lines: Sequence[str]) -> None:  # noqa: FBT001 - see Over
        outcomes.append(ok)
        if as_json:
            print(json.dumps(outcome), flush=True)
            return
        for text in ("", "timeline", *lines):
            say(text)

    try:
        asyncio.run(tell(say, over))
    except DemoError as error:
        sys.stderr.write(f"freezeline demo: {error}\n")
        return ENVIRONMENT
    except asyncio.CancelledError:
        if not outcomes:
            sys.stderr.write("interrupted: the demo stopped everything\n")
            return INTERRUPTED
    return OK if outcomes[0] else PROBLEMS
