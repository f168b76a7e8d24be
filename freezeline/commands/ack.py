"""`freezeline ack`: acknowledge a service's incidents, which ends their escalation."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Acknowledge all open incidents of a service. The receiver then stops their escalation."
    parser.epilog = "Example: freezeline ack checkout --state /var/lib/freezeline"
    parser.add_argument("service", help="the service, as the spec names it")
    parser.add_argument("--reason", default="", help="why; the journal and the notice repeat it")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to acknowledge."""
    code, answer = operate("ack", args, {"service": args.service, "reason": args.reason})
    if code == 0 and not args.json:
        name = printable(args.service)
        if answer["incidents"]:
            print(f"{name}: acknowledged {', '.join(answer['incidents'])}")
        for earlier in answer["before"]:
            print(f"{name}: {earlier['incident']} was acknowledged before, by {printable(earlier['by'])}")
    return code
