"""`freezeline unfreeze`: end the freeze of a service by hand, whatever started it."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, carried_out, not_carried_out, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "End the freeze of a service, whatever started it."
    parser.epilog = "Example: freezeline unfreeze checkout --reason 'fixed in v1.4.2' --state /var/lib/freezeline"
    parser.add_argument("service", help="the service, as the spec names it")
    parser.add_argument("--reason", required=True, help="the reason; the journal records it")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to unfreeze."""
    code, answer = operate("unfreeze", args, {"service": args.service, "reason": args.reason})
    if code != 0:
        return code
    if not answer["on_disk"]:
        return not_carried_out("unfreeze", f"{args.service} is STILL frozen", answer["why"])
    if not args.json:
        done = f"{printable(args.service)} is unfrozen: {', '.join(map(printable, answer['flags']))}"
        carried_out(done, answer["why"])
    return 0
