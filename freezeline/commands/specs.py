"""The common part of all commands that read specs: find them, load them, show their problems."""

from __future__ import annotations

import sys

from freezeline.problems import Problem, render
from generator import pipeline
from generator.pipeline import Loaded
from generator.write import files


def load(paths: list[str], scope: str | None) -> Loaded | None:
    """The specs, read and checked; None if they cannot be found (reported)."""
    try:
        found = files.find(paths)
        contents = files.read(found)
        beside = [] if scope else files.beside(found)
    except files.SpecFilesError as error:
        sys.stderr.write(f"freezeline: {error}\n")
        return None
    return pipeline.load_set(contents, scope, beside)


def report(loaded: Loaded, *, as_json: bool) -> bool:
    """Show every problem on stderr (or as JSON on stdout); True if any problem is an error."""
    problems = list(loaded.problems)
    errors = [problem for problem in problems if not problem.warning]
    if as_json and errors:
        import json

        sys.stdout.write(json.dumps({"problems": [problem.as_json() for problem in problems]}, indent=2) + "\n")
        return True
    for problem in problems:
        sys.stderr.write(show(problem, loaded) + "\n")
    if problems:
        warnings = len(problems) - len(errors)
        sys.stderr.write(f"{count(len(errors), 'error')}, {count(warnings, 'warning')}\n")
    return bool(errors)


def show(problem: Problem, loaded: Loaded) -> str:
    """A problem with its source line."""
    return render(problem, loaded.line(problem.position))


def count(number: int, noun: str) -> str:
    """A number of things: `1 error`, `2 errors`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
