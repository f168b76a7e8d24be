"""`freezeline drill`: rehearse what must work on a bad day, measure it, and keep the history."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType

import msgspec

from freezeline.commands import whole
from freezeline.commands.stopping import until_stopped
from freezeline.drill import KINDS
from freezeline.drill.asked import Asked, UsageError
from freezeline.problems import Problems, printable, render
from freezeline.remote import RemoteError, add_options
from freezeline.terminal import painter
from receiver.rehearsals import FILE, HOST, HistoryError, Rehearsal, read
from release.drill import history, report
from release.drill import policy as drill_policy
from release.drill.about import About, live_release
from release.drill.experiment import DrillError, Took
from release.policy.read import ReleasePolicy
from release.policy.read import read as read_policy

OK, PROBLEMS, USAGE, ENVIRONMENT = 0, 1, 2, 3
INTERRUPTED = 130
DAYS = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Rehearse what must work on a bad day, measure how long everything takes, and keep the history in "
        f"STATE/{FILE}. A drill never touches the real flag or the real release unless an option says so. "
        "Exit codes: 0 the rehearsal succeeded, 1 failed, 2 wrong usage, 3 environment."
    )
    parser.epilog = (
        "Example: freezeline drill loop rules/policy/shop.policy.json --state DIR --alertmanager http://127.0.0.1:9093"
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, about in KINDS.items():
        one = commands.add_parser(name, help=about)
        one.description = f"{about[0].upper()}{about[1:]}."
        one.add_argument("policy", type=Path, help="the policy file that `freezeline generate` wrote")
        add_options(one)
        _add_history(one)
        one.add_argument(
            "--host",
            default=os.environ.get(HOST),
            help=f"the name of the machine in the history (also {HOST}; default: this machine's)",
        )
        one.add_argument("--release", metavar="ID", help="the live release (default: the release command's answer)")
        one.add_argument("--json", action="store_true", help="print the line of the history")
        kind(name).configure(one)
    _configure_policy(commands.add_parser("policy", help="print the policy that the receiver needs for `drill loop`"))
    _configure_report(commands.add_parser("report", help="add the history up: RTO, RPO, MTTR"))


def kind(name: str) -> ModuleType:
    """The module that carries out one kind of drill."""
    return import_module(f"freezeline.drill.{name}")


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history", metavar="FILE", type=Path, help=f"the history of rehearsals (default: {FILE} of --state)"
    )


def _configure_policy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, help="the policy file that `freezeline generate` wrote")
    parser.add_argument(
        "--flags", metavar="DIR", type=Path, required=True, help="the drill directory, where flags of drills may be"
    )
    parser.add_argument("--channel", metavar="NAME", action="append", help="tell only this channel; may be repeated")


def _configure_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", metavar="DIR", default=os.environ.get("FREEZELINE_STATE"), help="the receiver's state directory"
    )
    _add_history(parser)
    parser.add_argument("--service", help="only rehearsals of this service")
    parser.add_argument("--days", type=float, default=DAYS, help=f"how far to look back (default: {DAYS:g})")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the report as Markdown, too")


def run(args: argparse.Namespace) -> int:
    """Carry out one drill, or show the history."""
    try:
        if args.what == "report":
            return _report(args)
        policy = _policy(args.policy)
        if policy is None:
            return USAGE
        return _print_policy(args, policy) if args.what == "policy" else _rehearse(args, policy)
    except UsageError as error:
        sys.stderr.write(f"freezeline drill: {printable(str(error))}\n")
        return USAGE
    except RemoteError as error:
        sys.stderr.write(f"freezeline drill: {printable(str(error))}\n")
        return error.exit_code
    except (DrillError, HistoryError, OSError) as error:
        sys.stderr.write(f"freezeline drill: {printable(str(error))}\n")
        return ENVIRONMENT


def _policy(path: Path) -> ReleasePolicy | None:
    problems = Problems()
    policy = read_policy(path, problems)
    for problem in problems:
        sys.stderr.write(render(problem) + "\n")
    return policy


def _print_policy(args: argparse.Namespace, policy: ReleasePolicy) -> int:
    known = drill_policy.channels_of(policy.policy)
    chosen = tuple(args.channel) if args.channel else known
    directory = args.flags.absolute()
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise UsageError(f"the policy tells no channel {unknown[0]}: write --channel with one of {', '.join(known)}")
    try:
        drill_policy.refuse_real(policy.policy, drill_policy.flag_of(policy.policy, directory))
    except ValueError as error:
        raise UsageError(str(error)) from error
    sys.stdout.write(drill_policy.text(policy.policy, directory, chosen))
    return OK


def _history(args: argparse.Namespace) -> Path:
    if args.history is not None:
        return Path(args.history)
    if args.state is None:
        raise UsageError("nobody says where the history is: name the state directory with --state DIR")
    return Path(args.state) / FILE


def _rehearse(args: argparse.Namespace, policy: ReleasePolicy) -> int:
    path = _history(args)
    done = asyncio.run(until_stopped(_carry_out(args, policy)))
    if done is None:
        sys.stderr.write("stopped: everything was put back, and the history stays as it was\n")
        return INTERRUPTED
    history.append(path, done)
    if args.json:
        print(msgspec.json.encode(done).decode())
    else:
        print("\n".join(lines(done)))
    return OK if done.ok else PROBLEMS


async def _carry_out(args: argparse.Namespace, policy: ReleasePolicy) -> Rehearsal:
    about = About(
        kind=args.what,
        policy=policy.policy,
        release=args.release if args.release is not None else await live_release(policy.policy),
        host=args.host or socket.gethostname(),
        started_at=datetime.now(UTC),
    )
    rehearse = kind(args.what).rehearse
    found: Rehearsal = await rehearse(args, Asked(policy=policy, about=about, told=_tell, say=_say))
    return found


def _tell(part: str, took: Took) -> None:
    paint = painter(sys.stderr)
    word = paint("bold red", "FAILED") if took.why else paint("green", "ok")
    why = f": {printable(took.why)}" if took.why else ""
    _say(f"{part}: {took.title} {word} {took.took_s:.2f} s{why}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def lines(done: Rehearsal) -> list[str]:
    """One rehearsal for people."""
    word = "succeeded" if done.ok else "FAILED"
    counts = "" if done.succeeded is None or done.runs == 1 else f", {done.succeeded} of {done.runs} runs"
    measures = [f"  {report.MEASURES[name]} {value:.2f} s" for name, value in done.seconds().items()]
    connected = [] if done.connected is None else [f"  streams answered {done.connected:.1%}"]
    integrity = [] if done.integrity is None else [f"  integrity {'proven' if done.integrity else 'NOT PROVEN'}"]
    whys = [f"  {printable(why)}" for why in (*done.notes, *done.why)]
    return [f"{done.kind} of {printable(done.service)}: {word}{counts}", *measures, *connected, *integrity, *whys]


def _report(args: argparse.Namespace) -> int:
    path, now = _history(args), datetime.now(UTC)
    found = read(path.read_bytes())
    made = report.report(found, service=args.service, since=now - timedelta(days=args.days), at=now)
    if args.markdown is not None:
        whole.write(args.markdown, report.as_markdown(made))
    print(json.dumps(report.as_values(made)) if args.json else "\n".join(report.as_text(made)))
    return OK
