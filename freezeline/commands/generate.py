"""`freezeline generate`: all artefacts of all specs, or none."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable

from msgspec.structs import replace

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import places, specs
from freezeline.problems import Position
from freezeline.terminal import painter
from generator import pipeline
from generator.model.spec import OutputSet
from generator.names import ENGINES, PROMETHEUS
from generator.pipeline import Loaded, Rendered
from generator.promql.text import is_label_name
from generator.write import all_or_none as write
from generator.write import files
from generator.write.places import WriteError

STYLES = {"+": "green", "-": "red", "@": "cyan"}
"""How a line of a diff is painted, by its first character."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Write all files that the specs describe: rules, rule tests, dashboards, Alertmanager configuration and "
        "policy. Either all files are written, or none."
    )
    parser.epilog = "Example: freezeline generate slos/ --check"
    specs.add_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="write rules/ and dashboards/ into this folder (default: the nearest folder above the specs that an "
        "earlier run wrote into, otherwise the current folder)",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; if files differ, print a diff and exit with 1"
    )
    parser.add_argument(
        "--only", action="append", metavar="KIND", help="write only this kind of file, such as rules; may be repeated"
    )
    parser.add_argument(
        "--format",
        choices=["files", "operator", "upload", "grafana-com"],
        default="files",
        help="operator: Kubernetes objects for rules and dashboards; upload: rule files with a namespace, for "
        "cortextool and mimirtool; grafana-com: dashboards for uploading",
    )
    parser.add_argument(
        "--target",
        choices=ENGINES,
        default=PROMETHEUS,
        help="the engine that evaluates the rules (default: prometheus)",
    )
    parser.add_argument("--namespace", default="", help="the namespace of the objects, with --format operator")
    parser.add_argument(
        "--rule-label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="add this label to the objects that hold rules, with --format operator",
    )
    places.configure(parser)
    parser.add_argument(
        "--replica-label",
        action="append",
        default=[],
        metavar="NAME",
        help="an external label in which a pair of Prometheus servers differ: write the configuration that drops the "
        "label from alerts; may be repeated",
    )
    specs.add_scope(parser)
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="only the specs of part I of N, with a scope and a folder of their own; needs --scope",
    )
    parser.add_argument(
        "--adopt", action="store_true", help="overwrite files of the same names that Freezeline did not generate"
    )
    parser.add_argument("--json", action="store_true", help="print problems and results as JSON")


def run(args: argparse.Namespace) -> int:
    """Generate, or check that generating would change nothing."""
    collecting = gc.isenabled()
    gc.disable()  # nearly all that is made is kept to the end: looking for garbage took 15 % of the time at 1,000 SLOs
    try:
        return _run(args)
    finally:
        if collecting:
            gc.enable()


def _run(args: argparse.Namespace) -> int:
    if wrong := _misused(args):
        sys.stderr.write(f"freezeline generate: {wrong}\n")
        return USAGE
    shard = specs.Shard.parse(args.shard or "")
    loaded = specs.load(args.specs, shard.of(args.scope, "-") if shard else args.scope, shard)
    if loaded is None:
        return USAGE
    root = args.output or files.output_root(files.find(args.specs))
    root = shard.of(root, "/shard-") if shard else root
    try:
        _check_scope(args, root, loaded)
    except OSError as error:
        sys.stderr.write(f"freezeline generate: {error}\n")
        return ENVIRONMENT
    if specs.report(loaded, as_json=args.json, brief=args.specs if args.check else ()):
        return PROBLEMS
    specs_found = loaded.output_set.specs
    names = files.names_below(root, (spec.file for spec in specs_found))
    output_set = replace(loaded.output_set, specs=tuple(replace(spec, file=names[spec.file]) for spec in specs_found))
    settings = replace(places.settings(args), replica_labels=tuple(args.replica_label))
    rendered = pipeline.render_set(output_set, args.only, settings, args.target)
    for problem in rendered.warnings:
        sys.stderr.write(specs.show(problem, loaded) + "\n")
    if rendered.faults:
        specs.report(replace(loaded, problems=rendered.faults), as_json=args.json)
        return PROBLEMS
    if args.format == "operator" and not _wrap(args, output_set, rendered):
        return USAGE
    if args.format == "upload" and not _name_spaces(args, output_set, rendered):
        return USAGE
    if args.format == "grafana-com":
        from generator.render.dashboards import grafana_com

        rendered.outputs = grafana_com.wrap(rendered.outputs)
    return _check(args, root, rendered) if args.check else _write(args, root, rendered)


def _misused(args: argparse.Namespace) -> str:
    """What is wrong with the options, for people; empty if nothing is."""
    unknown = [kind for kind in args.only or () if kind not in pipeline.ARTEFACTS]
    if unknown:
        return f"no kind {', '.join(unknown)}; write one of {', '.join(pipeline.ARTEFACTS)}"
    odd = [label for label in args.replica_label if not is_label_name(label)]
    if args.shard and (specs.Shard.parse(args.shard) is None or not args.scope):
        return "--shard takes I/N, such as 3/20, and needs --scope"
    return f"--replica-label takes the name of a label, not {', '.join(odd)}" if odd else ""


def _check_scope(args: argparse.Namespace, root: str, loaded: Loaded) -> None:
    """Report a scope that differs from that of the files that are there. Raises OSError."""
    output_set = loaded.output_set
    if not output_set.specs:
        return
    before, now = files.earlier_scope(root), output_set.scope
    first = min(output_set.specs, key=lambda spec: (spec.service, spec.file))
    chosen = args.scope or any(spec.scope for spec in output_set.specs)
    if before is not None and before != now:
        import shlex

        again = f"to begin anew, add --scope {shlex.quote(now)} once"
        hint = f"write `scope: {before}` into {first.file} to keep the history; {again}"
        message = f"the scope changes from {before} to {now}, and all recorded series start anew"
        loaded.problems.add("set/scope-changes", Position(first.file), message, hint, warning=bool(chosen))
    if not chosen and loaded.left_out:
        hint = f"write `scope:` into {first.file} if the specs are generated apart; otherwise name the whole folder"
        message = f"{', '.join(loaded.left_out)} would get the same scope, {now}, in a run of their own"
        loaded.problems.add("set/left-out", Position(first.file), message, hint, warning=True)


def _wrap(args: argparse.Namespace, output_set: OutputSet, rendered: Rendered) -> bool:
    """Turn rules and dashboards into Kubernetes objects; False after an error (reported)."""
    from generator.engines.targets import TARGETS
    from generator.render.rules import prometheus_operator as operator

    labels = dict(label.partition("=")[::2] for label in args.rule_label)
    if not all(labels.values()):
        sys.stderr.write("freezeline generate: --rule-label takes NAME=VALUE, such as release=prometheus\n")
        return False
    kind = TARGETS[args.target].kind
    settings = operator.Settings(kind=kind, namespace=args.namespace, rule_labels=labels)
    files, proven = pipeline.rule_files(output_set, args.target), pipeline.rule_files(output_set)
    try:
        rendered.outputs = operator.wrap(rendered.outputs, files, proven, settings)
    except operator.TooLargeError as error:
        sys.stderr.write(f"freezeline generate: {error}; leave it out with --only\n")
        return False
    return True


def _name_spaces(args: argparse.Namespace, output_set: OutputSet, rendered: Rendered) -> bool:
    """Give every rule file a namespace for uploading; False after an error (reported)."""
    from generator.engines import uploads
    from generator.engines.targets import TARGETS

    if not TARGETS[args.target].uploaded:
        able = ", ".join(name for name, target in TARGETS.items() if target.uploaded)
        sys.stderr.write(f"freezeline generate: --format upload needs a --target with an upload tool: {able}\n")
        return False
    rendered.outputs = uploads.wrap(rendered.outputs, pipeline.rule_files(output_set, args.target), output_set.scope)
    return True


def _covers(args: argparse.Namespace) -> Callable[[str], bool]:
    """Whether this run covers a file: with --only, it covers no files of other kinds."""
    if not args.only:
        return lambda _path: True
    return lambda path: pipeline.kind_of(path) in args.only


def _write(args: argparse.Namespace, root: str, rendered: Rendered) -> int:
    try:
        report = write.write_all(root, rendered.outputs, covers=_covers(args), adopt=args.adopt)
    except WriteError as error:
        sys.stderr.write(f"freezeline generate: {error}\n")
        return ENVIRONMENT
    if args.json:
        import json

        sys.stdout.write(
            json.dumps({"written": report.written, "unchanged": report.unchanged, "removed": report.removed})
        )
        sys.stdout.write("\n")
        return OK
    for path in report.written:
        sys.stdout.write(f"wrote {path}\n")
    for path in report.removed:
        sys.stdout.write(f"removed {path}\n")
    for path in report.kept:
        sys.stderr.write(
            f"kept {path}: no spec generates the file any more, but somebody edited it; remove the file by hand\n"
        )
    below = "" if args.output or root == "." else f" in {root}"
    sys.stderr.write(
        f"{len(report.written)} written, {len(report.unchanged)} unchanged, {len(report.removed)} removed{below}\n"
    )
    return OK


def _check(args: argparse.Namespace, root: str, rendered: Rendered) -> int:
    try:
        differences = write.check_all(root, rendered.outputs, covers=_covers(args))
    except WriteError as error:
        sys.stderr.write(f"freezeline generate: {error}\n")
        return ENVIRONMENT
    mend = _command(args)
    if args.json:
        import json

        found = [difference.as_json() for difference in differences]
        sys.stdout.write(json.dumps({"differences": found, "mend": mend if found else None}, indent=2) + "\n")
        return PROBLEMS if found else OK
    if not differences:
        return OK
    paint = painter(sys.stdout)
    for line in write.differences_text(differences, mend).splitlines():
        sys.stdout.write(paint(STYLES.get(line[:1], "none"), line) + "\n")
    differ = f"{specs.count(len(differences), 'artefact')} {'differs' if len(differences) == 1 else 'differ'}"
    sys.stderr.write(f"{differ} from the specs\n")
    return PROBLEMS


def _command(args: argparse.Namespace) -> str:
    """The command line that writes the files that this run checks."""
    import shlex

    words = ["freezeline", "generate", *args.specs]
    words += ["-o", args.output] if args.output else []
    words += ["--scope", args.scope] if args.scope else []
    words += ["--shard", args.shard] if args.shard else []
    words += [] if args.format == "files" else ["--format", args.format]
    words += [] if args.target == PROMETHEUS else ["--target", args.target]
    words += ["--namespace", args.namespace] if args.namespace else []
    words += [word for label in args.rule_label for word in ("--rule-label", label)]
    words += places.words(args)
    words += [word for label in args.replica_label for word in ("--replica-label", label)]
    return shlex.join(words)
