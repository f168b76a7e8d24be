"""The command line: finds the sub-command and imports that alone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from keyword import iskeyword
from types import MappingProxyType

from freezeline import __version__
from freezeline.problems import nearest, printable

OK = 0
PROBLEMS = 1
USAGE = 2
ENVIRONMENT = 3
# What shells report for a program that these signals ended.
INTERRUPTED = 128 + 2
READER_LEFT = 128 + 13

# Name → one line for people. Each is a module freezeline.commands.<name> with `configure(parser)` and `run(args)`;
# where the name is a word of Python's own, the module's ends in `_`.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "validate": "check specs and report every problem with its place",
        "generate": "write rules, proofs, dashboards, Alertmanager config and policy from specs",
        "verify": "run the proofs of every alert and print when it fires and resets",
        "explain": "show what a line of a spec leads to, with the factors worked out",
        "diff": "say what changes in meaning between two specs",
        "cost": "say how many rules, series and samples specs cost, beside other tools",
        "backfill": "make the long windows right on day one, from the counters' history",
        "import": "make specs from the files of Sloth, Pyrra or OpenSLO",
        "alertmanager": "merge our routes and receivers into an existing Alertmanager config",
        "serve": "run the receiver: freeze, roll back and tell, as Alertmanager's webhooks come in",
        "status": "show what is frozen and why",
        "freeze": "freeze a service by hand",
        "unfreeze": "end a freeze by hand",
        "ack": "acknowledge an episode; its escalation stops",
        "cancel": "cancel an action",
        "dlq": "list notices that could not be delivered, and send them again",
        "journal": "print what was decided, and why",
        "replay": "show what a webhook payload would do, without doing it",
        "toast": "show desktop notices from the receiver's event stream",
        "demo": "break a small service on this machine and watch the loop close",
    }
)


def usage() -> str:
    """The help page."""
    width = max(map(len, COMMANDS))
    about = "One SLO spec decides what alerts, what is shown, when shipping stops and when a release is taken back."
    lines = ["usage: freezeline COMMAND [OPTIONS]", "", about, "", "commands:"]
    lines += [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    lines += ["", "`freezeline COMMAND --help` explains one. Exit codes: 0 ok or GO, 1 problems or NO-GO,"]
    lines += ["2 usage or cannot tell, 3 environment."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left: nothing more to say, and nobody to say it to.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the interpreter's own flush at its end
        return READER_LEFT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if words else USAGE
    if words[0] == "--version":
        print(f"freezeline {__version__}")
        return OK
    name = words[0]
    if name not in COMMANDS:
        return _unknown(name)
    return _run(name, words[1:])


def _unknown(name: str) -> int:
    near = nearest(name, COMMANDS)
    hint = f"did you mean `freezeline {near}`?" if near else "see `freezeline --help`"
    sys.stderr.write(f"freezeline: no command {printable(name)!r}; {hint}\n")
    return USAGE


def _run(name: str, words: list[str]) -> int:
    module = import_module(f"freezeline.commands.{name}{'_' if iskeyword(name) else ''}")
    parser = argparse.ArgumentParser(prog=f"freezeline {name}", description=COMMANDS[name])
    module.configure(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # argparse leaves by this, for --help and for wrong usage
        return int(stop.code or OK)
    return int(module.run(args))
