"""`freezeline import`: specs from the files of Sloth, Pyrra or OpenSLO, and the differences."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands.specs import count
from freezeline.problems import Problems, render
from freezeline.terminal import painter
from generator.imports import IMPORTERS, assemble, report
from generator.imports.assemble import Outcome
from generator.imports.base import Found, Options
from generator.reading.reader import NAME
from generator.units import parse_duration_ms
from generator.write import all_or_none as write
from generator.write import files
from generator.write.places import WriteError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Write specs from the files of Sloth, Pyrra or OpenSLO, and list every difference from the old tool."
    )
    parser.epilog = "Example: freezeline import sloth slo/*.yml -o slos/ --team payments"
    parser.add_argument("tool", choices=["sloth", "pyrra", "openslo"], help="the tool that the files belong to")
    parser.add_argument("files", nargs="+", metavar="FILE", help="the tool's files, or folders of them")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="write the specs into this folder (default: print one spec)"
    )
    parser.add_argument("--team", default="", help="the owner, if the files name none")
    parser.add_argument("--service", default="", help="the service, if the files name none")
    parser.add_argument("--window", default="", metavar="30d", help="the SLO window instead of the window in the files")
    parser.add_argument("--scrape", default="15s", help="the scrape interval (default: 15s)")
    parser.add_argument(
        "--partial", action="store_true", help="leave out SLOs that a spec cannot express, and write the others"
    )
    parser.add_argument("--replace", action="store_true", help="overwrite existing specs with other content")
    parser.add_argument("--json", action="store_true", help="print specs, problems and differences as JSON")


def run(args: argparse.Namespace) -> int:
    """Read, translate, check, and write all specs or none."""
    options = _options(args)
    if options is None:
        return USAGE
    try:
        contents = files.read(files.find(args.files), sys.stdin.buffer)
    except files.SpecFilesError as error:
        sys.stderr.write(f"freezeline import: {error}\n")
        return USAGE
    found = Found(problems=Problems(), options=options)
    outcome = assemble.run(IMPORTERS[args.tool], contents, found)
    failed = bool(found.problems.errors)
    if args.json:
        _print_json(outcome, found.problems)
    else:
        _print_problems(outcome, found.problems)
    if not outcome.specs or (failed and not args.partial):
        if not failed:
            sys.stderr.write("freezeline import: these files have no SLO\n")
        elif outcome.specs:
            sys.stderr.write("nothing written: correct the files, or leave out these SLOs with --partial\n")
        return PROBLEMS
    written = _write(args, outcome)
    if written != OK:
        return written
    if not args.json:
        _print_report(args.tool, outcome)
    return PROBLEMS if failed else OK


def _options(args: argparse.Namespace) -> Options | None:
    """The options; None after a wrong option (reported)."""
    for option, text in (("--team", args.team), ("--service", args.service)):
        if text and not NAME.fullmatch(text):
            sys.stderr.write(f"freezeline import: {option} takes letters, digits, `-`, `_` and `.`, at most 64\n")
            return None
    try:
        scrape_ms = parse_duration_ms(args.scrape)
        parse_duration_ms(args.window or "30d")
    except ValueError as error:
        sys.stderr.write(f"freezeline import: {error}; write 30d or 15s\n")
        return None
    return Options(team=args.team, service=args.service, window=args.window, scrape=args.scrape, scrape_ms=scrape_ms)


def _print_problems(outcome: Outcome, problems: Problems) -> None:
    lines = {source.name: source.lines for source in outcome.sources if source.text}
    for problem in problems:
        place = problem.position
        known = lines.get(place.file, [])
        shown = known[place.line - 1] if 0 < place.line <= len(known) else None
        sys.stderr.write(render(problem, shown, painter(sys.stderr)) + "\n")


def _print_json(outcome: Outcome, problems: Problems) -> None:
    data = {
        "specs": {name: content.decode() for name, content in outcome.specs.items()},
        "problems": [problem.as_json() for problem in problems],
        "differences": [difference.as_json() for difference in outcome.differences],
    }
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _write(args: argparse.Namespace, outcome: Outcome) -> int:
    if args.output is None:
        return OK if args.json else _print_spec(outcome)
    try:
        written = write.write_once(Path(args.output), outcome.specs, replace=args.replace)
    except WriteError as error:
        sys.stderr.write(f"freezeline import: {error}\n")
        return ENVIRONMENT
    if not args.json:
        for name in written:
            sys.stdout.write(f"wrote {Path(args.output, name).as_posix()}\n")
    return OK


def _print_spec(outcome: Outcome) -> int:
    if len(outcome.specs) > 1:
        services = ", ".join(name.removesuffix(".yaml") for name in outcome.specs)
        sys.stderr.write(
            f"freezeline import: the services {services} need one spec each: name a folder with `-o DIR`\n"
        )
        return USAGE
    sys.stdout.write("".join(content.decode() for content in outcome.specs.values()))
    return OK


def _print_report(tool: str, outcome: Outcome) -> None:
    sys.stderr.write(report.text(IMPORTERS[tool].title, outcome.differences))
    sys.stderr.write(f"{count(len(outcome.slos), 'SLO')} in {count(len(outcome.specs), 'spec')}\n")
