"""`freezeline diff`: changes in meaning between two specs or folders, or since a git revision."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from freezeline import pull_request
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import specs
from generator import pipeline
from generator.model.spec import OutputSet
from generator.reports import difference, difference_text
from generator.write import files

GIT_DEADLINE_S = 30.0


class GitError(Exception):
    """Git cannot return the old files; the message says why."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show what changes in meaning between two specs or folders: objectives, alerts, policy, fingerprints and "
        "history. Exit codes: 0 same meaning, 1 changes, 2 cannot tell."
    )
    parser.epilog = "Example: freezeline diff slos/ --git main"
    parser.add_argument(
        "specs", nargs="+", metavar="OLD NEW", help="the old and the new spec or folder; with --git only the new one"
    )
    parser.add_argument("--git", metavar="REV", help="compare with the files in this git revision")
    parser.add_argument("--scope", help="the name of the output set (default: `scope` in a spec, else TEAM/SERVICE)")
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")
    parser.add_argument(
        "--comment",
        action="store_true",
        help="also write the changes as a comment of the pull request, in a pipeline of GitHub or GitLab",
    )


def run(args: argparse.Namespace) -> int:
    """Load both sides and compare. 0: same meaning, 1: they differ, 2: cannot tell."""
    wanted = 1 if args.git else 2
    if len(args.specs) != wanted:
        words = "one path with --git" if args.git else "OLD and NEW"
        sys.stderr.write(f"freezeline diff: name {words}\n")
        return USAGE
    new_path = args.specs[-1]
    try:
        found = files.find([new_path])
        new = (files.read(found, sys.stdin.buffer), files.beside(found))
        if args.git:
            old = (_from_git(args.git, new_path), new[1])
        else:
            before = files.find([args.specs[0]])
            old = (files.read(before, sys.stdin.buffer), files.beside(before))
    except files.SpecFilesError as error:
        sys.stderr.write(f"freezeline diff: {error}\n")
        return USAGE
    except GitError as error:
        sys.stderr.write(f"freezeline diff: {error}\n")
        return ENVIRONMENT
    sides: list[OutputSet] = []
    for contents, beside in (old, new):
        loaded = pipeline.load_set(contents, args.scope, beside)
        if loaded.problems.errors:
            specs.report(loaded, as_json=False)
            sys.stderr.write("freezeline diff: correct the spec first: a spec with errors has no meaning to compare\n")
            return USAGE
        sides.append(loaded.output_set)
    changes = difference.compare(sides[0], sides[1])
    if args.json:
        data = {"same": not changes, "changes": [change.as_json() for change in changes]}
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(difference_text.text(changes))
        sys.stderr.write(difference_text.summary(changes) + "\n")
    if args.comment and not _comment(difference_text.summary(changes), difference_text.text(changes)):
        return ENVIRONMENT
    return PROBLEMS if changes else OK


def _comment(summary: str, changes: str) -> bool:
    """Write the comment. Without changes, only an earlier comment is brought up to date."""
    try:
        request = pull_request.of_environment(os.environ)
        if changes or request.has_comment():
            outcome = request.put(pull_request.as_markdown(summary, changes))
            sys.stderr.write(f"comment of the pull request: {outcome}\n")
    except pull_request.CommentError as error:
        sys.stderr.write(f"freezeline diff: {error}\n")
        return False
    return True


def _from_git(revision: str, path: str) -> list[tuple[str, bytes]]:
    """The specs of a path in a git revision: (name, content). Raises GitError."""
    if revision.startswith("-"):
        raise GitError(f"{revision!r} is not a git revision")
    place = Path(path)
    folder, names = (place.parent, [place.name]) if not place.is_dir() else (place, None)
    if names is None:
        listed = _git(folder, "ls-tree", "--name-only", "-z", revision, "./").decode("utf-8", "surrogateescape")
        names = sorted(Path(name).name for name in listed.split("\0") if name.endswith((".yaml", ".yml")))
        if not names:
            raise GitError(f"{path} has no *.yaml file in {revision}")
    return [
        (f"{revision}:{(folder / name).as_posix()}", _git(folder, "show", f"{revision}:./{name}")) for name in names
    ]


def _git(folder: Path, *words: str) -> bytes:
    argv = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git does not start: {error}") from error
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(message[0] if message else f"git ended with exit code {done.returncode}")
    return done.stdout
