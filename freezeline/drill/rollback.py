"""`freezeline drill rollback`: many rollbacks of a stand-in with faults injected, or one real rollback, undone."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from freezeline.drill.asked import Asked, UsageError
from receiver.rehearsals import Rehearsal
from release.drill import rollback
from release.drill.experiment import run
from release.drill.faults import ABOUT, SURVIVED, Fault, Rolled

RUNS = 40
AT_ONCE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many rollbacks (default: {RUNS})")
    parser.add_argument(
        "--fault",
        action="append",
        choices=[fault.value for fault in Fault],
        metavar="FAULT",
        help=f"inject only this fault; may be repeated: {', '.join(Fault)} (default: each that can be survived)",
    )
    parser.add_argument("--seed", type=int, default=1, help="the order of the faults (default: 1)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"rollbacks at a time (default: {AT_ONCE})")
    parser.add_argument(
        "--really",
        action="store_true",
        help="roll the live release back with the policy's own command, verify, and run the undo command",
    )


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Roll back, and judge."""
    if args.runs < 1 or args.at_once < 1:
        raise UsageError("write a number of at least 1 after --runs and --at-once")
    with tempfile.TemporaryDirectory(prefix="freezeline-drill-") as directory:
        place = Path(directory)
        return await (_really(asked, place) if args.really else _with_faults(args, asked, place))


async def _with_faults(args: argparse.Namespace, asked: Asked, place: Path) -> Rehearsal:
    faults = tuple(Fault(one) for one in args.fault) if args.fault else SURVIVED

    def told(number: int, done: Rolled) -> None:
        word = "rolled back" if done.ok else done.wrong or "not rolled back"
        asked.say(f"{number + 1}: {ABOUT[done.fault]}: {word}, {done.done_s:.2f} s")

    rolled = await rollback.rehearse(place, faults, count=args.runs, seed=args.seed, at_once=args.at_once, told=told)
    found = rollback.verdict(rolled)
    return asked.about.rehearsal(
        ok=found.ok,
        runs=found.runs,
        succeeded=found.succeeded,
        faults=found.faults,
        rollback_s=found.longest_s,
        mttr_s=found.mean_s,
        why=found.why,
    )


async def _really(asked: Asked, place: Path) -> Rehearsal:
    real = rollback.real(asked.rules, asked.about.release, place / "runs")
    outcome = await run(real.experiment(), asked.told)
    took_s = sum(outcome.legs.values()) if set(outcome.legs) == {"rollback", "verification"} else None
    return asked.about.rehearsal(
        ok=outcome.ok,
        succeeded=int(outcome.ok),
        legs=outcome.legs,
        rollback_s=took_s,
        mttr_s=took_s,
        why=outcome.why,
    )
