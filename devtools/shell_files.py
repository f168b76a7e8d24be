"""Writes the completion scripts and the man page from the parsers: `python -m devtools.shell_files [--check]`.

shtab makes the scripts, argparse-manpage makes the page. Both lie in `freezeline/shell/`, from where the wheel installs
them into `share/`. argparse lays usage out in another way in newer Pythons. Another Python than 3.11 therefore writes
and compares nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from unittest import mock

import shtab
from argparse_manpage.manpage import Manpage

from freezeline import __version__
from freezeline.cli import COMMANDS
from freezeline.commands.completion import SHELLS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "freezeline" / "shell"
MADE_BY = (3, 11)
WIDTH = 100
ABOUT = "One SLO spec decides what alerts, what dashboards show, when releases freeze and when they roll back."
# An argument with one of these names is a file, also where the argument has no type.
FILES = frozenset({"config", "file", "files", "policy", "spec", "specs", "token_file", "seen_file"})


def main(argv: list[str], folder: Path = FOLDER) -> int:
    """Write the files, or check the files and say how to mend them."""
    if sys.version_info[:2] != MADE_BY:
        return 0
    wanted = files()
    stale = [name for name, text in wanted.items() if _text(folder / name) != text]
    if "--check" in argv:
        for name in stale:
            sys.stderr.write(f"freezeline/shell/{name} differs from the parsers; run ./dev generate\n")
        return 1 if stale else 0
    for name in stale:
        (folder / name).write_text(wanted[name], "utf-8")
    return 0


def files() -> dict[str, str]:
    """The text of each file."""
    # Some defaults come from the environment, and usage is as wide as the terminal.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FREEZELINE_")}
    with mock.patch.dict(os.environ, ours | {"COLUMNS": str(WIDTH)}, clear=True):
        made = {f"freezeline.{shell}": _script(shell) for shell in SHELLS}
        return made | {"freezeline.1": _page()}


def _script(shell: str) -> str:
    text = shtab.complete(whole_parser(), shell=shell)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _page() -> str:
    about: Mapping[str, str] = {
        "project_name": "freezeline",
        "version": __version__,
        "description": "compile SLO specs, freeze and roll back by alerts",
        "manual_title": "Freezeline",
        "date": f"freezeline {__version__}",
    }
    return str(Manpage(whole_parser(), about))


def whole_parser() -> argparse.ArgumentParser:
    """One parser with all commands; freezeline itself makes the parser of the called command alone."""
    parser = argparse.ArgumentParser(prog="freezeline", description=ABOUT)
    parser.add_argument("--version", action="store_true", help="show the version of freezeline and exit")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, text in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text)
        import_module(f"freezeline.commands.{name}{'_' if iskeyword(name) else ''}").configure(one)
    for action in _actions(parser):
        completed = _completed(action)
        if completed is not None:
            action.complete = completed  # type: ignore[attr-defined]  # shtab reads this attribute
    return parser


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its arguments
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for one in action.choices.values():
                yield from _actions(one)
        else:
            yield action


def _completed(action: argparse.Action) -> object | None:
    """How shells complete an argument: by files, by folders, or not at all."""
    found: object | None = None
    if action.metavar == "DIR" or action.dest == "directory":
        found = shtab.DIRECTORY
    elif action.metavar in ("FILE", "PATH") or action.dest in FILES:
        found = shtab.FILE
    return found


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
