"""`freezeline explain`: what follows from a line of a spec, with the calculations."""

from __future__ import annotations

import argparse
import json
import os
import sys

from freezeline.cli import OK, PROBLEMS, USAGE
from freezeline.commands import specs
from freezeline.problems import nearest, printable
from generator.model.spec import Spec
from generator.pipeline import Loaded
from generator.reports import explain, explain_canary, explain_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show what follows from an SLO, an alert, a gate or a line of a spec: "
        "series, rules, tiers, alerts, policy and people."
    )
    parser.epilog = "Example: freezeline explain slos/checkout.yaml availability"
    parser.add_argument("spec", help="a spec file; `-` reads standard input")
    parser.add_argument(
        "what",
        nargs="?",
        metavar="NAME|LINE",
        help="an SLO, an alert, a gate (canary.ID), or a line number (default: all)",
    )
    specs.add_scope(parser)
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def run(args: argparse.Namespace) -> int:
    """Load the spec, and explain the parts that the user names."""
    loaded = specs.load([args.spec], args.scope)
    if loaded is None:
        return USAGE
    if len(loaded.sources) != 1:
        sys.stderr.write("freezeline explain: name one spec file, not a folder\n")
        return USAGE
    if specs.report(loaded, as_json=args.json, brief=[args.spec]):
        return PROBLEMS
    spec = loaded.output_set.specs[0]
    names = _everything(spec) if args.what is None else _meant(loaded, args.what)
    if names is None:
        return USAGE
    chosen = explain.explain(spec, loaded.output_set.scope, names)
    if args.json:
        sys.stdout.write(json.dumps([one.as_json() for one in chosen], indent=2, ensure_ascii=False) + "\n")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write(explain_text.text(chosen, explain_text.bold if colour else explain_text.plain))
    return OK


def _everything(spec: Spec) -> frozenset[str]:
    gates = spec.canary.gates if spec.canary is not None else ()
    named = (*(slo.name for slo in spec.slos), *(alert.name for alert in spec.alerts))
    return frozenset([*named, *(explain_canary.name(gate) for gate in gates)])


def _meant(loaded: Loaded, what: str) -> frozenset[str] | None:
    """The SLOs and alerts that a name or line stands for; None if there are none (reported)."""
    spec = loaded.output_set.specs[0]
    names = _everything(spec)
    if what in names:
        return frozenset({what})
    root = loaded.sources[0].root
    if what.isascii() and what.isdigit() and root is not None:
        lines = len(loaded.sources[0].lines)
        if not 0 < int(what) <= lines:
            sys.stderr.write(f"freezeline explain: {loaded.sources[0].name} has {lines} lines\n")
            return None
        return explain.at_line(spec, root, int(what)) or names
    near = nearest(what, names)
    hint = (
        f"did you mean {near}?"
        if near
        else f"the spec has {', '.join(sorted(names))}"
        if names
        else "the spec has none"
    )
    sys.stderr.write(f"freezeline explain: no SLO, alert or gate {printable(what)!r}; {hint}\n")
    return None
