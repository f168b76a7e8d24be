"""`freezeline journal`: the receiver's decisions and their reasons, past the receiver. `--verify` checks the chain."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from freezeline import extras, journal_place
from freezeline.problems import printable
from receiver.journal import JournalError, View, reading, verify
from receiver.report import decision_json
from receiver.state import StateInUseError, locked


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Print the receiver's last decisions with their reasons. The command reads the journal file, also while "
        "the receiver is stopped. `migrate` moves the journal of a stopped receiver from its file into the database of "
        "--postgres."
    )
    parser.epilog = "Example: freezeline journal --state /var/lib/freezeline --last 20"
    parser.add_argument("what", nargs="?", choices=["migrate"], help="move the journal instead of reading the journal")
    parser.add_argument("--back", action="store_true", help="with migrate: from the database into a new file")
    journal_place.add_options(parser)
    parser.add_argument(
        "--last", type=int, default=50, metavar="N", help="print this many of the last decisions (default: 50)"
    )
    parser.add_argument(
        "--after", type=int, metavar="SEQ", help="print the decisions after this number instead, at most 1000"
    )
    parser.add_argument(
        "--verify", action="store_true", help="only check that no decision was changed, added or removed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each line")


def run(args: argparse.Namespace) -> int:
    """Print decisions, or verify."""
    if args.what == "migrate":
        return _migrate(args)
    journal = journal_place.of(args)
    if journal is None:
        sys.stderr.write("freezeline journal: name the receiver's state directory with --state DIR\n")
        return 2
    try:
        with reading(journal, postgres=args.postgres, earlier=True) as view:
            return _verify(view, as_json=args.json) if args.verify else _print(view, args)
    except JournalError as error:
        sys.stderr.write(f"freezeline journal: {error}\n")
        return 3


def _migrate(args: argparse.Namespace) -> int:
    if args.state is None or not args.postgres:
        sys.stderr.write("freezeline journal migrate: name both sides with --state DIR and --postgres CONNECTION\n")
        return 2
    try:
        from receiver.journal import migrate  # noqa: PLC0415 - needs the extra `postgres`
    except ImportError as error:
        sys.stderr.write(f"freezeline journal migrate: {error}: {extras.install('postgres')}\n")
        return 3
    move = migrate.into_file if args.back else migrate.into_postgres
    try:
        with locked(Path(args.state)):
            moved = move(Path(args.state) / "journal.db", args.postgres)
    except StateInUseError as error:
        sys.stderr.write(f"freezeline journal migrate: {error}. Stop the receiver first\n")
        return 3
    except (JournalError, OSError) as error:
        sys.stderr.write(f"freezeline journal migrate: {error}\n")
        return 3
    if args.json:
        print(json.dumps({"rows": moved.counts, "seq": moved.head[0], "head": moved.head[1]}))
    else:
        print(f"moved {sum(moved.counts.values())} rows, unbroken; decision {moved.head[0]} has hash {moved.head[1]}")
    return 0


def _print(view: View, args: argparse.Namespace) -> int:
    found = view.decisions(after=args.after) if args.after is not None else view.last_decisions(max(args.last, 0))
    for recorded in found:
        row = decision_json(recorded)
        print(
            json.dumps(row)
            if args.json
            else f"{row['seq']:>6} {row['at']} {row['kind']:<18} {printable(row['sentence'])}"
        )
    return 0


def _verify(view: View, *, as_json: bool) -> int:
    verdict = verify(view.all_decisions())
    if as_json:
        print(
            json.dumps({"rows": verdict.rows, "head": verdict.head, "broken_at": verdict.broken_at, "why": verdict.why})
        )
    elif verdict.broken_at is None:
        print(f"{verdict.rows} decisions, unbroken; the last has hash {verdict.head}")
    else:
        print(f"broken at decision {verdict.broken_at}: {verdict.why}")
    return 0 if verdict.broken_at is None else 1
