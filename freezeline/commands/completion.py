"""`freezeline completion`: the completion script of a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from freezeline.cli import OK

SHELLS = ("bash", "zsh", "fish")
SCRIPTS = Path(__file__).resolve().parent.parent / "shell"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Print the script with which a shell completes the commands, options and files of freezeline. "
        "Debian's package installs these scripts; after pipx or uv, load the script in the start file of your shell."
    )
    parser.epilog = "Example: freezeline completion bash"
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete freezeline")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print((SCRIPTS / f"freezeline.{args.shell}").read_text("utf-8"), end="")
    return OK
