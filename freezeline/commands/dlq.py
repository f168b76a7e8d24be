"""`freezeline dlq`: notices that could not be delivered, and another attempt to send them."""

from __future__ import annotations

import argparse
import json

from freezeline.problems import printable
from freezeline.remote import RemoteError, add_operator_options, failed, operate, remote


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "List the notices that could not be delivered. With --resend, the receiver sends them again."
    parser.epilog = "Example: freezeline dlq --resend --state /var/lib/freezeline"
    parser.add_argument(
        "--resend", nargs="?", const="", metavar="ACTION", help="send this notice again; without ACTION, send all again"
    )
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """List the notices, or send them again."""
    if args.resend is not None:
        code, answer = operate("dlq", args, {"action": args.resend})
        if code == 0 and not args.json:
            print(f"sent again: {', '.join(answer['resent']) or 'nothing'}")
        return code
    try:
        letters = remote(args, "read").get("/api/v1/state")["dead_letters"]
    except RemoteError as error:
        return failed("dlq", error)
    if args.json:
        print(json.dumps(letters))
        return 0
    for letter in letters:
        why = letter["result"].get("error", "")
        what = f"{letter['service']}  {letter['name']}  {letter['event']}: {why}"
        print(f"{letter['id']}  {letter['created_at']}  {printable(what)}")
    if not letters:
        print("no undelivered notices")
    return 0
