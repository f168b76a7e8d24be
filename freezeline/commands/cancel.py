"""`freezeline cancel`: cancel an action, end one that runs, or undo a rollback within its window."""

from __future__ import annotations

import argparse

from freezeline.remote import add_operator_options, operate


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", help="its identifier, as `freezeline status` shows it")
    parser.add_argument("--reason", required=True, help="why; it stands in the journal")
    add_operator_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the receiver to cancel."""
    code, answer = operate("cancel", args, {"action": args.action, "reason": args.reason})
    if code == 0 and not args.json:
        undo = f"; undo is action {answer['undo']}" if answer["undo"] else ""
        print(f"{answer['action']}: {answer['done']}{undo}")
    return code
