"""`freezeline drill loop`: a drill alert through the real Alertmanager and receiver, each leg measured."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from freezeline.drill.asked import Asked, UsageError, operator_of
from receiver.rehearsals import Rehearsal
from release.drill import policy as drill_policy
from release.drill.experiment import run
from release.drill.loop import Loop
from release.drill.servers import Alertmanagers, Receiver
from release.engine.receiver import Receiver as AskedReceiver

LIMIT_S = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--alertmanager", metavar="URL", action="append", required=True, help="each Alertmanager of the cluster"
    )
    parser.add_argument(
        "--alertmanager-token-file", metavar="FILE", help="a file with the bearer token of these Alertmanagers"
    )
    parser.add_argument(
        "--channel",
        metavar="NAME",
        action="append",
        help="a channel of the policy for drills, as given to `drill policy` (default: every channel of the policy)",
    )
    parser.add_argument(
        "--limit", metavar="SECONDS", type=float, default=LIMIT_S, help=f"the longest leg (default: {LIMIT_S:g})"
    )


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Send the alert, follow it to the end of the freeze, and put everything back."""
    receiver = operator_of(args)
    local = args.url is None
    async with aiohttp.ClientSession() as http:
        loop = Loop(
            policy=asked.rules,
            drill=secrets.token_hex(4),
            receiver=Receiver(asked=AskedReceiver(http=http, locate=lambda: (receiver.url, receiver.token))),
            alertmanager=Alertmanagers(
                http=http,
                urls=tuple(url.rstrip("/") for url in args.alertmanager),
                headers=_headers(args.alertmanager_token_file),
            ),
            channels=len(channels(args, asked)),
            limit_s=args.limit,
            is_there=os.path.lexists if local else None,
        )
        outcome = await run(loop.experiment(), asked.told)
    return asked.about.rehearsal(ok=outcome.ok, legs=outcome.legs, why=outcome.why, succeeded=int(outcome.ok))


def channels(args: argparse.Namespace, asked: Asked) -> tuple[str, ...]:
    """The channels of the policy for drills. Raises UsageError for one that the policy does not name."""
    known = drill_policy.channels_of(asked.rules)
    given: tuple[str, ...] = tuple(args.channel) if args.channel else known
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"the policy tells no channel {unknown[0]}: write --channel with one of {', '.join(known)}")
    return given


def _headers(token_file: str | None) -> Mapping[str, str]:
    if token_file is None:
        return {}
    return {"Authorization": f"Bearer {Path(token_file).read_text('ascii').strip()}"}
