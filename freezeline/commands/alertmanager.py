"""`freezeline alertmanager merge`: Freezeline's routes and receivers in an existing Alertmanager configuration."""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from pathlib import Path

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import places, specs, whole
from freezeline.problems import Problems, render
from freezeline.terminal import painter
from generator.existing import judge
from generator.existing import lines as file_lines
from generator.existing import merge as alertmanager_merge
from generator.render.alertmanager import alertmanager
from generator.render.alertmanager.places import TEMPLATE_FILE


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Add Freezeline's routes, receivers and inhibitions to an existing Alertmanager configuration, or remove "
        "them. All other lines stay unchanged."
    )
    parser.epilog = "Example: freezeline alertmanager merge alertmanager.yml slos/ --write"
    parser.add_argument(
        "operation", choices=["merge", "remove"], help="merge: add or renew Freezeline's parts; remove: take them out"
    )
    parser.add_argument("config", help="Alertmanager's configuration file")
    specs.add_argument(parser)
    parser.add_argument("--write", action="store_true", help="write the result to the file (default: print the result)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; if the file would change, print a diff and exit with 1"
    )
    places.configure(parser)
    parser.add_argument(
        "--template",
        metavar="PATH",
        help="the path that Alertmanager loads the message templates from (default: freezeline.tmpl)",
    )


def run(args: argparse.Namespace) -> int:
    """Merge or remove, then print, check or write."""
    path = Path(args.config)
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"freezeline alertmanager: {path}: {error}\n")
        return USAGE
    changed, code = _changed(args, text)
    if changed is None:
        return code
    if args.check:
        return _check(args, path, text, changed)
    if not args.write:
        sys.stdout.write(changed)
        return OK
    try:
        if args.operation == "merge" and not _may_replace(_template(args, path)):
            sys.stderr.write(
                f"freezeline alertmanager: {_template(args, path)} is not a file of Freezeline; "
                "rename it, or name another path with --template\n"
            )
            return PROBLEMS
        _write(args, path, changed)
    except OSError as error:
        sys.stderr.write(f"freezeline alertmanager: {error}\n")
        return ENVIRONMENT
    return OK


def _changed(args: argparse.Namespace, text: str) -> tuple[str | None, int]:
    """The new text; if there are problems, None and the exit code, after showing them."""
    problems = Problems()
    if args.operation == "remove":
        changed = alertmanager_merge.remove(args.config, text, problems)
    else:
        loaded = specs.load(args.specs, None)
        if loaded is None:
            return None, USAGE
        if specs.report(loaded, as_json=False, brief=args.specs):
            return None, PROBLEMS
        settings = places.settings(args, args.template)
        parts = alertmanager.parts(loaded.output_set.specs, settings)
        merged = alertmanager_merge.merge(args.config, text, parts, problems)
        if merged is not None:
            judge.judge(merged.document, loaded.output_set, settings, problems)
        changed = None if merged is None else merged.text
    shown = [line.text for line in file_lines.split(text)] or [""]
    for problem in problems:
        sys.stderr.write(render(problem, shown[problem.position.line - 1], painter(sys.stderr)) + "\n")
    return changed, PROBLEMS


def _check(args: argparse.Namespace, path: Path, text: str, changed: str) -> int:
    if text == changed:
        return OK
    diff = difflib.unified_diff(text.splitlines(keepends=True), changed.splitlines(keepends=True), str(path), "merged")
    sys.stdout.writelines(diff)
    mend = ["freezeline", "alertmanager", args.operation, "--write", str(path)]
    if args.operation == "merge":
        mend += [*args.specs, *places.words(args)]
        mend += ["--template", args.template] if args.template else []
    sys.stderr.write(f"{path} is not up to date; run: {shlex.join(mend)}\n")
    return PROBLEMS


def _template(args: argparse.Namespace, path: Path) -> Path:
    """The file with the message templates: relative to the configuration, as Alertmanager reads the path."""
    return path.resolve().parent / (args.template or TEMPLATE_FILE)


def _may_replace(template: Path) -> bool:
    """Whether no file is there, or a file that Freezeline wrote."""
    return not template.exists() or alertmanager.is_our_template(template.read_bytes())


def _write(args: argparse.Namespace, path: Path, changed: str) -> None:
    """Write the template before the configuration that names it."""
    target = path.resolve()
    if args.operation == "merge":
        template = _template(args, path)
        whole.write(template, alertmanager.template_text())
        sys.stdout.write(f"wrote {template}\n")
    whole.write(target, changed)
    sys.stdout.write(f"wrote {target}\n")
    sys.stderr.write("next: amtool check-config, then reload Alertmanager (SIGHUP, or POST /-/reload)\n")
