"""`freezeline explain`: what a line of a spec leads to, worked out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from freezeline.cli import OK, PROBLEMS, USAGE

if TYPE_CHECKING:
    from generator.explain import Explained
    from generator.pipeline import Loaded


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("spec", help="a spec file")
    parser.add_argument("what", nargs="?", metavar="NAME|LINE", help="an SLO or alert, or a line of the file")
    parser.add_argument("--scope", help="name of this output set (default: the folder's name)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Load the spec, explain what was asked for."""
    from freezeline.commands import specs
    from generator import explain

    loaded = specs.load([args.spec], args.scope)
    if loaded is None:
        return USAGE
    if len(loaded.sources) != 1:
        sys.stderr.write("freezeline explain: name one spec file, not a folder of several\n")
        return USAGE
    if specs.report(loaded, as_json=args.json):
        return PROBLEMS
    everything = explain.explain(loaded.output_set.specs[0], loaded.output_set.scope)
    chosen = everything if args.what is None else _chosen(everything, loaded, args.what)
    if chosen is None:
        return USAGE
    if args.json:
        sys.stdout.write(json.dumps([one.as_json() for one in chosen], indent=2, ensure_ascii=False) + "\n")
    else:
        from generator import explain_text

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write(explain_text.text(chosen, explain_text.bold if colour else explain_text.plain))
    return OK


def _chosen(everything: tuple[Explained, ...], loaded: Loaded, what: str) -> tuple[Explained, ...] | None:
    """What a name or a line stands for; None after saying that it stands for nothing."""
    from freezeline.problems import nearest, printable
    from generator import explain

    names = [one.name for one in everything]
    if what in names:
        return tuple(one for one in everything if one.name == what)
    root = loaded.sources[0].root
    if what.isascii() and what.isdigit() and root is not None:
        lines = len(loaded.sources[0].lines)
        if not 0 < int(what) <= lines:
            sys.stderr.write(f"freezeline explain: {loaded.sources[0].name} has {lines} lines\n")
            return None
        meant = explain.at_line(loaded.output_set.specs[0], root, int(what))
        return tuple(one for one in everything if one.name in meant) or everything
    near = nearest(what, names)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(names)}" if names else "there are none"
    sys.stderr.write(f"freezeline explain: no SLO or alert {printable(what)!r}; {hint}\n")
    return None
