"""`freezeline rollback`: roll a service back by hand."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Freeze a service and roll the service back, because a person decided so. If a rollout of the service runs, "
        "the rollout is aborted instead. `freezeline status` shows how the rollback goes."
    )
    parser.epilog = "Example: freezeline rollback checkout --reason 'errors since 14:05' --state /var/lib/freezeline"
    parser.add_argument("service", help="the service, as the spec names it")
    parser.add_argument("--reason", required=True, help="the reason; the flag file and the journal record it")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to roll back."""
    code, answer = operate("rollback", args, {"service": args.service, "reason": args.reason})
    if code == 0 and not args.json:
        service = printable(args.service)
        if answer["rollout"] is not None:
            print(f"the rollout {printable(answer['rollout'])} of {service} is being aborted")
        else:
            print(f"{service} is frozen and rolls back (episode {answer['episode']})")
    return code
