"""The command line: finds the command's module, and imports no other command."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from keyword import iskeyword
from types import MappingProxyType

from freezeline import __version__

OK = 0
PROBLEMS = 1
USAGE = 2
ENVIRONMENT = 3
# The exit code that shells report for a program that this signal ended.
INTERRUPTED = 128 + 2
READER_LEFT = 128 + 13

# Name → one line for people. The module freezeline.commands.<name> has `configure(parser)` and `run(args)`. If the name
# is a keyword of Python, the module's name ends in `_`.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "validate": "check specs, and report every problem with its position",
        "generate": "write rules, rule tests, dashboards, Alertmanager config and policy from specs",
        "verify": "prove with promtool when every alert fires and resets",
        "explain": "show what follows from a line of a spec, with the calculations",
        "diff": "show what changes in meaning between two specs",
        "cost": "count the rules, series and samples of specs, beside Sloth's and Pyrra's",
        "backtest": "show what the alerts, freezes and budgets of a spec would have done in the past",
        "suggest": "suggest objectives and thresholds from the past, as a diff of the spec",
        "backfill": "fill the long windows from the counters' history in Prometheus",
        "import": "make specs from the files of Sloth, Pyrra or OpenSLO",
        "alertmanager": "merge Freezeline's routes and receivers into an existing Alertmanager config",
        "gate": "say whether a service may ship now, with the reasons",
        "canary": "roll a release out in stages, and take the release back where its gates break",
        "drill": "rehearse alert, freeze, rollback and recovery, measure them, and keep the history",
        "serve": "run the receiver, which freezes, rolls back and tells people on Alertmanager's webhooks",
        "status": "show what is frozen and why",
        "freeze": "freeze a service by hand",
        "rollback": "roll a service back by hand, and freeze the service",
        "unfreeze": "end a freeze by hand",
        "ack": "acknowledge the incidents of a service, which ends their escalation",
        "cancel": "cancel an action, or undo a rollback",
        "dlq": "list notices that could not be delivered, and send them again",
        "incidents": "list the incidents, with the mean times to recovery and to acknowledgement",
        "journal": "print the receiver's decisions with their reasons",
        "replay": "show what a webhook body would do, without doing anything",
        "toast": "show the receiver's notices as desktop toasts",
        "demo": "break a small service on this machine, and watch freeze and rollback",
        "completion": "print the completion script of bash, zsh or fish",
    }
)


# Commands that had another name before: old name → name now.
RENAMED: Mapping[str, str] = MappingProxyType({"release": "unfreeze"})


def usage() -> str:
    """The help page."""
    width = max(map(len, COMMANDS))
    about = "One SLO spec decides what alerts, what dashboards show, when releases freeze and when they roll back."
    lines = ["usage: freezeline COMMAND [OPTIONS]", "", about, "", "commands:"]
    lines += [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    lines += ["", "Example: freezeline generate slos/"]
    lines += ["", "`freezeline COMMAND --help` explains a command. Exit codes: 0 ok or GO, 1 problems or NO-GO,"]
    lines += ["2 wrong usage or cannot tell, 3 environment."]
    return "\n".join(lines)


# Nearly all objects of a command live to its end. With Python's threshold of 700 new objects, the search for garbage
# takes 5 % of a short command.
GC_THRESHOLD = 50_000


def command() -> int:
    """`main` as a whole process: searches for garbage seldom, and never at the end, where all memory goes at once."""
    gc.set_threshold(GC_THRESHOLD)
    atexit.register(gc.freeze)
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has gone, so there is nobody to tell.
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
    if name in RENAMED:
        sys.stderr.write(f"freezeline: `freezeline {name}` is called `freezeline {RENAMED[name]}` now\n")
        return USAGE
    from freezeline.problems import nearest, printable

    near = nearest(name, COMMANDS)
    hint = f"did you mean `freezeline {near}`?" if near else "see `freezeline --help`"
    sys.stderr.write(f"freezeline: no command {printable(name)!r}; {hint}\n")
    return USAGE


# argparse formats each option once, to check the option. With a fixed width, argparse does not import the modules that
# find the width of the terminal. Only help pages need that width.
_FIXED = partial(argparse.HelpFormatter, width=80)


def _run(name: str, words: list[str]) -> int:
    module = import_module(f"freezeline.commands.{name}{'_' if iskeyword(name) else ''}")
    parser = argparse.ArgumentParser(prog=f"freezeline {name}", description=COMMANDS[name], formatter_class=_FIXED)
    module.configure(parser)
    parser.formatter_class = argparse.HelpFormatter
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # argparse exits for --help and for wrong usage
        return int(stop.code or OK)
    return int(module.run(args))
