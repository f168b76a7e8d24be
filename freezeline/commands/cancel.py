"""`freezeline cancel`: cancel an action, end one that runs, or undo a rollback within its window."""

from __future__ import annotations

import argparse

from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Cancel a waiting action, end a running one, or undo a rollback within its undo window."
    parser.epilog = (
        "Example: freezeline cancel 01JDN4Y0V5W3Q8Z7K2M6T9R1XC --reason 'fixed by hand' --state /var/lib/freezeline"
    )
    parser.add_argument("action", help="the action's id, as `freezeline status` shows it")
    parser.add_argument("--reason", required=True, help="the reason; the journal records it")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to cancel."""
    code, answer = operate("cancel", args, {"action": args.action, "reason": args.reason})
    if code == 0 and not args.json:
        undo = f"; the undo is action {answer['undo']}" if answer["undo"] else ""
        print(f"{answer['action']}: {answer['done']}{undo}")
    return code
