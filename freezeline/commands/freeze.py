"""`freezeline freeze`: freeze a service by hand."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("service")
    parser.add_argument("--reason", required=True, help="why; it stands in the flag and in the journal")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to freeze."""
    code, answer = operate("freeze", args, {"service": args.service, "reason": args.reason})
    if code == 0 and not args.json:
        print(f"{printable(args.service)} is frozen until you unfreeze it (episode {answer['episode']})")
    return code
