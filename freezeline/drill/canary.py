"""`freezeline drill canary`: a good and a bad release of a stand-in, or a real rollout that is taken back at once."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from freezeline import headers
from freezeline.demo.programs import DemoError
from freezeline.demo.rollout import story
from freezeline.demo.rollout.acts import Fault
from freezeline.demo.rollout.record import Record, Step
from freezeline.drill.asked import Asked, UsageError
from receiver.rehearsals import Rehearsal
from release.drill.canary import Real, Times
from release.drill.experiment import DrillError, run
from release.engine import begin, process

SPARE_S = 120.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--really",
        action="store_true",
        help="roll --candidate out with the policy's own canary, and abort as soon as the release has traffic",
    )
    parser.add_argument(
        "--candidate", metavar="ID", help="with --really, the release that is rolled out and taken back"
    )
    headers.add_options(parser, use="with --really, the Prometheus that sees both releases")


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Roll out, take back, and measure both."""
    return await (_really(args, asked) if args.really else _stand_in(asked))


async def _stand_in(asked: Asked) -> Rehearsal:
    """Everything of the demo: a real HAProxy, Prometheus, Alertmanager, receiver and engine."""
    over: list[story.Told] = []
    try:
        await story.tell(asked.say, faults=[Fault.ERRORS], keep=False, over=over.append)
    except DemoError as error:
        raise DrillError(str(error)) from error
    told = over[0]
    bad = told.acts[-1].release
    measured = measured_of(told.record, bad)
    return asked.about.rehearsal(
        ok=told.ok and None not in (measured.deploy_s, measured.rollback_s),
        runs=len(told.acts),
        succeeded=sum(not wrong for wrong in told.wrong.values()),
        faults=(Fault.ERRORS.value,),
        deploy_s=measured.deploy_s,
        rollback_s=measured.rollback_s,
        mttr_s=_between(told.record, bad, Step.TRAFFIC, Step.NO_TRAFFIC),
        notes=("rehearsed with a stand-in service",),
        why=tuple(f"{release}: {one}" for release, wrong in told.wrong.items() for one in wrong),
    )


def measured_of(record: Record, bad: str) -> Times:
    """The times of the bad release, as they were seen from outside."""
    return Times(
        deploy_s=_between(record, bad, Step.BEGIN, Step.DEPLOYED),
        rollback_s=_between(record, bad, Step.TAKEN_BACK, Step.ROLLED_BACK),
    )


def _between(record: Record, release: str, first: Step, then: Step) -> float | None:
    begun, ended = record.of(release, first), record.of(release, then)
    return max(0.0, ended[0].at - begun[0].at) if begun and ended else None


async def _really(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    canary = asked.policy.canary
    if args.candidate is None or args.prometheus is None or args.state is None:
        raise UsageError("a real rollout needs --candidate ID, --prometheus URL and --state DIR")
    if canary is None:
        raise UsageError("the spec has no canary; add `canary:` and generate again")
    try:
        sent = headers.read(args.header, os.environ)
    except headers.HeaderError as error:
        raise UsageError(str(error)) from error
    state_dir = _absolute(args.state)
    options = process.Options(
        wanted=begin.Wanted(
            policy_text=process.policy_text(args.policy),
            policy_file=str(args.policy),
            release=args.candidate,
            stable=asked.about.release,
            again=True,
            speed=1.0,
            state_dir=state_dir,
        ),
        prometheus=args.prometheus,
        headers=sent,
        url=args.url,
        token_file=Path(args.token_file) if args.token_file else None,
        config=None,
        fallback="",
        directory=Path(),
    )
    rollbacks = [one.timeout_s + one.grace_s for one in asked.rules.rollbacks(asked.rules.actions)]
    real = Real(
        engine=lambda: process.run(options),
        database=begin.database_path(state_dir, asked.rules.service),
        deploy_limit_s=(canary.deploy.timeout_s if canary.deploy else 0) + SPARE_S,
        rollback_limit_s=max(rollbacks, default=0) + SPARE_S,
    )
    outcome = await run(real.experiment(), asked.told)
    return asked.about.rehearsal(
        ok=outcome.ok,
        succeeded=int(outcome.ok),
        deploy_s=real.found.deploy_s,
        rollback_s=real.found.rollback_s,
        mttr_s=real.found.rollback_s,
        legs=outcome.legs,
        why=outcome.why,
    )


def _absolute(path: str) -> Path:
    return Path(path).absolute()
