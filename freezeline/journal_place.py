"""The options of commands that read the journal past the receiver: the state directory, or a PostgreSQL database."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from receiver.setting_values import WrongValueError, connection


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--state` and `--postgres`."""
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=os.environ.get("FREEZELINE_STATE"),
        help="the receiver's state directory (also FREEZELINE_STATE)",
    )
    parser.add_argument(
        "--postgres",
        metavar="CONNECTION",
        type=_connection,
        default=os.environ.get("FREEZELINE_JOURNAL_POSTGRES", ""),
        help="read the journal in this PostgreSQL database instead (also FREEZELINE_JOURNAL_POSTGRES)",
    )


def _connection(text: str) -> str:
    try:
        return connection(text)
    except WrongValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; {error.hint}") from error


def of(args: argparse.Namespace) -> Path | None:
    """The journal's file, which nobody reads if `--postgres` is given; None if neither option is given."""
    if args.state is None and not args.postgres:
        return None
    return Path(args.state or ".") / "journal.db"
