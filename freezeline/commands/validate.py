"""`freezeline validate`: every problem of the specs in one run, each with its position."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from freezeline import headers
from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, USAGE
from freezeline.commands import places, specs
from freezeline.terminal import progress
from generator import pipeline
from generator.checks import live
from generator.checks.live import quoted
from generator.existing import judge
from generator.model.actions import FreezeAction, SwitchAction
from generator.pipeline import Loaded
from generator.prometheus import origins as promtool_origins
from generator.prometheus import promtool
from generator.prometheus.promtool import Tool, ToolError
from generator.reading.source import Source
from generator.render.alertmanager.places import DEFAULTS, Settings
from receiver.act import flagcheck, flagd

PROMTOOL_CODE = "promtool/rules"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Check specs, and report every problem with its position and a hint. Nothing is written."
    parser.epilog = "Example: freezeline validate slos/ --prometheus http://localhost:9090"
    specs.add_argument(parser)
    specs.add_scope(parser)
    parser.add_argument("--json", action="store_true", help="print problems and a summary as JSON")
    headers.add_options(
        parser, use="also ask this Prometheus whether series and buckets exist, and how long it keeps data"
    )
    parser.add_argument(
        "--promtool", metavar="PATH", help="check the rules with this promtool (default: FREEZELINE_PROMTOOL, PATH)"
    )
    parser.add_argument(
        "--alertmanager",
        metavar="FILE",
        help="also say what this Alertmanager configuration does to the alerts: inhibitions and routes",
    )
    places.webhook_urls(parser, "the URL by which the configuration names Freezeline's receiver")
    parser.add_argument("--no-promtool", action="store_true", help="do not check the rules with promtool")


def run(args: argparse.Namespace) -> int:
    """Read and check the specs, ask Prometheus and promtool if they are there, and report."""
    if args.prometheus and not args.prometheus.startswith(("http://", "https://")):
        sys.stderr.write("freezeline validate: --prometheus takes a URL, such as http://localhost:9090\n")
        return USAGE
    try:
        sent = headers.read(args.header, os.environ)
    except headers.HeaderError as error:
        sys.stderr.write(f"freezeline validate: {error}\n")
        return USAGE
    loaded = specs.load(args.specs, args.scope)
    if loaded is None:
        return USAGE
    if args.alertmanager and not loaded.problems.errors:
        try:
            loaded = _with_alertmanager(loaded, args.alertmanager, args.webhook_url)
        except (OSError, UnicodeDecodeError) as error:
            sys.stderr.write(f"freezeline validate: {args.alertmanager}: {error}\n")
            return USAGE
    try:
        if args.prometheus:
            with progress("asking Prometheus", sys.stderr):
                live.run(loaded.output_set, live.connect(args.prometheus, sent), loaded.problems)
        # The rules of a spec with errors would be incomplete.
        tool = None if args.no_promtool or loaded.problems.errors else _promtool(args.promtool)
        if tool is not None:
            with progress("promtool checks the rules", sys.stderr):
                _check_rules(loaded, tool)
    except (live.PrometheusError, ToolError) as error:
        sys.stderr.write(f"freezeline validate: {error}\n")
        return ENVIRONMENT
    _look_at_flags(loaded)
    failed = _report(loaded, tool, as_json=args.json)
    return PROBLEMS if failed else OK


def _with_alertmanager(loaded: Loaded, path: str, webhook_urls: Sequence[str] | None) -> Loaded:
    """Judge an Alertmanager configuration, and let its problems be shown with their lines.

    Raises OSError and UnicodeDecodeError.
    """
    text = Path(path).read_bytes().decode()
    settings = Settings(webhook_urls=tuple(webhook_urls or DEFAULTS.webhook_urls))
    judge.judge_file(path, text, loaded.output_set, settings, loaded.problems)
    return replace(loaded, sources=(*loaded.sources, Source(name=path, text=text, root=None)))


def _look_at_flags(loaded: Loaded) -> None:
    """Warn of flags that other users could not see, if the flags' directories are on this machine."""
    for spec in loaded.output_set.specs:
        for action in spec.actions.values():
            why = ""
            if isinstance(action, FreezeAction):
                why = flagcheck.hidden(Path(action.flag))
            elif isinstance(action, SwitchAction):
                why = flagd.hidden(Path(action.file))
            if why:
                hint = "keep flags in a directory that everybody may search, such as `/var/lib/freezeline-flags`"
                loaded.problems.add("live/flag-hidden", action.position, why, hint, warning=True)


def _promtool(given: str | None) -> Tool | None:
    """The promtool to use; None if the user names none and none is found. Raises ToolError."""
    try:
        return promtool.find("promtool", environment=os.environ, given=given)
    except promtool.ToolError:
        if given or os.environ.get("FREEZELINE_PROMTOOL"):
            raise
        return None


def _check_rules(loaded: Loaded, tool: Tool) -> None:
    """Render the rules into a temporary folder, and report promtool's messages as problems of the spec."""
    before = loaded.problems.error_count
    quoted.check_promtool(loaded.output_set, tool.version, loaded.problems)
    if loaded.problems.error_count > before:
        return  # promtool would say the same of every rule, in words about its parser
    rendered = pipeline.render_set(loaded.output_set, ("rules",))
    loaded.problems.extend(rendered.faults)
    generated = {
        path: promtool_origins.Generated(text=data.decode(), origins=rendered.origins.get(path, []))
        for path, data in rendered.outputs.items()
    }
    with tempfile.TemporaryDirectory(prefix="freezeline-") as folder:
        for path, data in rendered.outputs.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        outcome = tool.check_rules([Path(path) for path in generated], Path(folder))
    loaded.problems.extend(promtool_origins.problems(outcome, generated, PROMTOOL_CODE))


def _report(loaded: Loaded, tool: Tool | None, *, as_json: bool) -> bool:
    """Show the problems and one line of summary; True if any problem is an error."""
    checked = f"promtool {tool.version_text}" if tool else ""
    if as_json:
        counts = {"specs": len(loaded.output_set.specs), "slos": _slos(loaded), "alerts": _alerts(loaded)}
        found = [problem.as_json() for problem in loaded.problems]
        sys.stdout.write(json.dumps({"problems": found, **counts, "promtool": checked}, indent=2) + "\n")
        return bool(loaded.problems.errors)
    failed = specs.report(loaded, as_json=False)
    if not failed:
        numbers = ((len(loaded.output_set.specs), "spec"), (_slos(loaded), "SLO"), (_alerts(loaded), "alert"))
        words = [specs.count(number, noun) for number, noun in numbers]
        sys.stdout.write(f"ok: {', '.join(words)}" + (f"; {checked} agrees\n" if checked else "\n"))
    return failed


def _slos(loaded: Loaded) -> int:
    return sum(len(spec.slos) for spec in loaded.output_set.specs)


def _alerts(loaded: Loaded) -> int:
    return sum(len(spec.alerts) for spec in loaded.output_set.specs)
