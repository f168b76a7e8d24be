"""`freezeline freeze`: freeze a service by hand."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, carried_out, not_carried_out, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Freeze the releases of a service until somebody runs `freezeline unfreeze`."
    parser.epilog = "Example: freezeline freeze checkout --reason 'database migration' --state /var/lib/freezeline"
    parser.add_argument("service", help="the service, as the spec names it")
    parser.add_argument("--reason", required=True, help="the reason; the flag file and the journal record it")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to freeze."""
    code, answer = operate("freeze", args, {"service": args.service, "reason": args.reason})
    if code != 0:
        return code
    if not answer["on_disk"]:
        return not_carried_out("freeze", f"{args.service} is NOT frozen yet", answer["why"])
    if not args.json:
        done = f"{printable(args.service)} is frozen until you run `freezeline unfreeze` (episode {answer['episode']})"
        carried_out(done, answer["why"])
    return 0
