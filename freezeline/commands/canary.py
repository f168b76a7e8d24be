"""`freezeline canary`: roll a release out in stages, and take the release back where its gates break."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from freezeline import headers
from freezeline.commands import whole
from freezeline.commands.stopping import until_stopped
from freezeline.problems import printable
from freezeline.remote import operator
from release.ab.ready import can_draw
from release.ab.report import Draw
from release.canary.plan import plan_of
from release.canary.state import AbortAsked, Approved, Event, Paused, Phase, Promoted, Resumed
from release.engine import begin, process
from release.show import report
from release.show import status as show
from release.show.markdown import as_markdown
from release.show.record import record_of
from release.store.database import Database, Rollout, StoreError

OK, PROBLEMS, USAGE, ENVIRONMENT = 0, 1, 2, 3
ANSWER_S = 15.0
ANSWER_POLL_S = 0.1
SPEED_MAX = 1_000_000

STATE_HELP = "the state directory, which holds the rollouts (also FREEZELINE_STATE)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Roll a release out in stages, judged by the policy's gates; taken back by itself."
    parser.epilog = (
        "Example: freezeline canary run rules/policy/shop.policy.json --release v2 --prometheus URL --state DIR"
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _configure_run(commands.add_parser("run", help="run a rollout to its end"))
    for name, about in ORDERS.items():
        one = commands.add_parser(name, help=about)
        _common(one)
        one.add_argument("--by", default=None, help="who asks (default: your login name)")
        if name == "abort":
            one.add_argument("--reason", required=True, help="why, for the journal")
        if name == "approve":
            one.add_argument("--stage", type=int, help="the stage that is approved (default: the one that waits)")
    for name, about in SHOWN.items():
        one = commands.add_parser(name, help=about)
        _common(one)
        if name == "report":
            one.add_argument("--rollout", metavar="ID", help="the rollout (default: the newest)")
            one.add_argument("--html", metavar="FILE", type=Path, help="also write the report as one HTML page")
            one.add_argument("--markdown", metavar="FILE", type=Path, help="also write a short report as Markdown")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", nargs="?", help="the service (default: the only one with rollouts)")
    parser.add_argument("--state", metavar="DIR", default=os.environ.get("FREEZELINE_STATE"), help=STATE_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _configure_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, help="the policy file that `freezeline generate` wrote")
    parser.add_argument("--release", default="", metavar="ID", help="the new release (default: the release command's)")
    parser.add_argument(
        "--stable", default="", metavar="ID", help="the stable release (default: the release command's)"
    )
    parser.add_argument("--again", action="store_true", help="roll out a release that was rolled out before")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="divide bake, soak and days by N, for rehearsals"
    )
    headers.add_options(parser, use="the Prometheus that sees both releases", required=True)
    parser.add_argument("--state", metavar="DIR", default=os.environ.get("FREEZELINE_STATE"), help=STATE_HELP)
    parser.add_argument("--url", default=os.environ.get("FREEZELINE_URL"), help="a receiver on another machine")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="the receiver's `operate` token")
    parser.add_argument("--config", metavar="FILE", type=Path, help="receiver.yaml, for --fallback")
    parser.add_argument(
        "--fallback", metavar="CHANNEL", help="a channel of --config that is told while the receiver is away"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where relative paths of the gate's reports begin"
    )


def run(args: argparse.Namespace) -> int:
    """Run one of the sub-commands."""
    if args.state is None:
        sys.stderr.write("freezeline canary: name the state directory with --state DIR\n")
        return USAGE
    args.state = Path(args.state).absolute()
    try:
        if args.what == "run":
            return _run(args)
        return _order(args) if args.what in ORDERS else _show(args)
    except begin.UnusableError as error:
        sys.stderr.write(f"freezeline canary: {error}\n")
        return USAGE
    except begin.RefusedError as error:
        sys.stderr.write(f"freezeline canary: {printable(str(error))}\n")
        return PROBLEMS
    except (StoreError, sqlite3.Error, OSError) as error:
        sys.stderr.write(f"freezeline canary: {printable(str(error))}\n")
        return ENVIRONMENT


def options_of(args: argparse.Namespace) -> process.Options:
    """What `canary run` was asked for. Raises UnusableError."""
    if not 0 < args.speed <= SPEED_MAX:
        raise begin.UnusableError(f"--speed takes a number above 0 and up to {SPEED_MAX}")
    try:
        sent = headers.read(args.header, os.environ)
    except headers.HeaderError as error:
        raise begin.UnusableError(str(error)) from error
    return process.Options(
        wanted=begin.Wanted(
            policy_text=process.policy_text(args.policy),
            policy_file=str(args.policy),
            release=args.release,
            stable=args.stable,
            again=args.again,
            speed=args.speed,
            state_dir=args.state,
        ),
        prometheus=args.prometheus,
        headers=sent,
        url=args.url,
        token_file=args.token_file,
        config=args.config,
        fallback=args.fallback or "",
        directory=args.directory,
    )


def _run(args: argparse.Namespace) -> int:
    ended = asyncio.run(until_stopped(process.run(options_of(args))))
    if ended is None:
        sys.stderr.write("stopped; the rollout stays as it is, and the same command goes on with it\n")
        return ENVIRONMENT
    why = f": {printable(ended.why)}" if ended.why else ""
    print(f"{printable(ended.release)}: {ended.phase.value.replace('_', ' ')}{why}")
    return OK if ended.phase is Phase.DONE else PROBLEMS


def _database(args: argparse.Namespace, *, writes: bool = False) -> tuple[str, Database]:
    folder = args.state / "canary"
    names = sorted(path.stem for path in folder.glob("*.db"))
    if args.service is None and len(names) != 1:
        known = ", ".join(names) or "none"
        raise begin.UnusableError(f"say which service; services with rollouts: {known}")
    service = args.service or names[0]
    path = begin.database_path(args.state, service)
    if not path.exists():
        raise begin.RefusedError(f"{service} has had no rollout: {path} does not exist")
    return service, Database(path, writes=writes)


def _order(args: argparse.Namespace) -> int:
    """Leave an order, and wait for the engine's answer."""
    _, database = _database(args, writes=True)
    running = database.running()
    if running is None:
        raise begin.RefusedError("no rollout runs")
    order = database.ask(MAKE_ORDER[args.what](args, running), at=time.time())
    end = time.monotonic() + ANSWER_S
    while (refusal := database.refusal(order)) is None:
        if time.monotonic() >= end:
            raise OSError("the engine does not answer; is `freezeline canary run` alive? The order stays")
        time.sleep(ANSWER_POLL_S)
    if args.json:
        print(json.dumps({"order": args.what, "done": not refusal, "why": refusal}))
    elif not refusal:
        print(f"{args.what}: done")
    if refusal and not args.json:
        sys.stderr.write(f"freezeline canary {args.what}: {printable(refusal)}\n")
    return PROBLEMS if refusal else OK


def _approval(args: argparse.Namespace, running: Rollout) -> Event:
    """Names the stage that waits: before the first stage, or the present one."""
    waits = -1 if running.state.phase is Phase.PRECHECK else running.state.stage
    stage = waits if args.stage is None else args.stage - 1
    return Approved(by=operator(args), rollout=running.id, stage=stage)


MAKE_ORDER: dict[str, Callable[[argparse.Namespace, Rollout], Event]] = {
    "approve": _approval,
    "promote": lambda args, _: Promoted(by=operator(args)),
    "pause": lambda args, _: Paused(by=operator(args)),
    "resume": lambda args, _: Resumed(by=operator(args)),
    "abort": lambda args, _: AbortAsked(by=operator(args), reason=args.reason),
}

ORDERS = {
    "approve": "agree to go on where the rollout waits for a person",
    "promote": "end the watch of this stage now; every gate must pass",
    "pause": "do not advance; the gates are still judged",
    "resume": "end a pause, and other holds that wait for a person",
    "abort": "take the release back now",
}

SHOWN = {
    "status": "show where the rollout stands, and what each gate said last",
    "history": "list all rollouts of a service",
    "report": "show everything that happened in a rollout",
}


def _show(args: argparse.Namespace) -> int:
    service, database = _database(args)
    rollouts = database.rollouts()
    if args.what == "history":
        found = [show.as_json(one) for one in rollouts]
        print(json.dumps(found) if args.json else "\n".join(show.line(one) for one in rollouts))
        return OK
    wanted = getattr(args, "rollout", None)
    chosen = next((one for one in rollouts if wanted in {None, one.id}), None)
    if chosen is None:
        raise begin.RefusedError(f"{service} has no such rollout")
    _, canary = begin.parsed(chosen.policy, "the rollout's policy")
    looks = database.looks(chosen.id, 1 if args.what == "status" else -1)
    lines = show.text(service, chosen, plan_of(canary, speed=chosen.speed), looks[-1] if looks else None)
    if args.what == "status":
        print(json.dumps(show.as_json(chosen, looks)) if args.json else "\n".join(lines))
        return OK
    record = record_of(service, chosen, canary, database, looks=looks, draw=_draw(database, chosen))
    for path, made in ((args.html, report.as_html), (args.markdown, as_markdown)):
        if path is not None:
            whole.write(path, made(record))
    if args.json:
        print(json.dumps(show.as_json(chosen, looks, record.steps) | report.as_values(record)))
    else:
        print("\n".join([*lines, *report.as_text(record)]))
    return OK if record.broken is None else PROBLEMS


def _draw(database: Database, rollout: Rollout) -> Draw | None:
    """What makes the plots of A/B tests. Without matplotlib, the page has no plots, and says so."""
    if not database.every_ab(rollout.id) or not can_draw():
        return None
    # Imported for rollouts with a test alone: the module needs the extra, which an installation may lack.
    draw: Draw = import_module("release.ab.plots").draw
    return draw
