"""The common part of all commands that read specs: find them, load them, show their problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from msgspec import Struct

from freezeline.problems import Problem, render
from freezeline.terminal import painter
from generator import pipeline
from generator.pipeline import Loaded
from generator.write import files


class Shard(Struct, frozen=True, kw_only=True):
    """One of `count` parts of many specs. A spec's name decides, so a new spec moves no other."""

    number: int  # from 1
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard | None:
        """`3/20`; None for any other text."""
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            return None
        shard = cls(number=int(number), count=int(count))
        return shard if 1 <= shard.number <= shard.count else None

    def of(self, whole: str, joined_by: str) -> str:
        """The part's name for something that the whole set has one of."""
        return f"{whole}{joined_by}{self.number}"

    def holds(self, path: str) -> bool:
        """Whether the spec file belongs to this part."""
        import zlib
        from pathlib import PurePath

        return zlib.crc32(PurePath(path).name.encode()) % self.count == self.number - 1


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the specs that a command reads."""
    parser.add_argument(
        "specs",
        nargs="*",
        default=["slos"],
        help="spec files, folders of them, or `-` for standard input (default: slos)",
    )


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Declare `--scope`."""
    parser.add_argument("--scope", help="the name of this output set (default: `scope` in a spec, else TEAM/SERVICE)")


def load(paths: list[str], scope: str | None, shard: Shard | None = None) -> Loaded | None:
    """The specs, or those of one shard, read and checked; None if they cannot be found (reported)."""
    try:
        found = files.find(paths)
        if shard is not None:
            found = [path for path in found if shard.holds(path)]
        contents = files.read(found, sys.stdin.buffer)
        beside = [] if scope else files.beside(found)
    except files.SpecFilesError as error:
        sys.stderr.write(f"freezeline: {error}\n")
        return None
    return pipeline.load_set(contents, scope, beside)


def report(loaded: Loaded, *, as_json: bool, brief: Sequence[str] = ()) -> bool:
    """Show every problem on stderr (or as JSON on stdout); True if any problem is an error.

    With the specs' paths in `brief`, only errors are shown. Warnings are counted, with the command that shows them.
    """
    problems = list(loaded.problems)
    errors = [problem for problem in problems if not problem.warning]
    if as_json and errors:
        import json

        sys.stdout.write(json.dumps({"problems": [problem.as_json() for problem in problems]}, indent=2) + "\n")
        return True
    warnings = len(problems) - len(errors)
    if brief and not errors:
        if warnings:
            import shlex

            shows = shlex.join(["freezeline", "validate", *brief])
            sys.stderr.write(f"{count(warnings, 'warning')}: `{shows}` shows {'it' if warnings == 1 else 'them'}\n")
        return False
    for problem in problems:
        sys.stderr.write(show(problem, loaded) + "\n")
    if problems:
        sys.stderr.write(f"{count(len(errors), 'error')}, {count(warnings, 'warning')}\n")
    return bool(errors)


def show(problem: Problem, loaded: Loaded) -> str:
    """A problem with its source line."""
    return render(problem, loaded.line(problem.position), painter(sys.stderr))


def count(number: int, noun: str) -> str:
    """A number of things: `1 error`, `2 errors`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
