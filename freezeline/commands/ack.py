"""`freezeline ack`: acknowledge a service's incident; its escalation stops."""

from __future__ import annotations

import argparse

from freezeline.problems import printable
from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("service")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Tell the receiver."""
    code, answer = operate("ack", args, {"service": args.service})
    if code == 0 and not args.json:
        print(f"{printable(args.service)}: acknowledged {', '.join(answer['incidents'])}")
    return code
