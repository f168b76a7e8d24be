"""The options of commands that ask a Prometheus: its URL, and headers such as a tenant or a token."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "FREEZELINE_PROMETHEUS_HEADERS"
_HEADER = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*:\s*(\S.*?)\s*")
_HINT = "write NAME:VALUE, such as X-Scope-OrgID:team-a, or NAME:@FILE for a value in a file"


class HeaderError(ValueError):
    """A header cannot be sent. The message names the header, and never its value. Exit code 2."""


def add_options(parser: argparse.ArgumentParser, *, use: str, required: bool = False) -> None:
    """Declare `--prometheus` and `--header`."""
    parser.add_argument("--prometheus", metavar="URL", required=required, help=use)
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="send this header to Prometheus, for example X-Scope-OrgID:team-a; may be repeated. @FILE as the value "
        f"reads a secret from a file. Also {VARIABLE}, one header a line.",
    )


def read(given: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Every header of the environment and of the command line, which wins. Raises HeaderError."""
    found: dict[str, str] = {}
    for line in [*environment.get(VARIABLE, "").splitlines(), *given]:
        if line.strip():
            name, value = _parsed(line)
            found = {kept: text for kept, text in found.items() if kept.lower() != name.lower()} | {name: value}
    return found


def _parsed(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise HeaderError(f"a header has no name and value: {_HINT}")
    name, value = match.groups()
    if value.startswith("@"):
        value = _read(name, Path(value[1:]))
    if not value.isascii() or not value.isprintable():
        raise HeaderError(f"the value of the header {name} must be one line of ASCII: {_HINT}")
    return name, value


def _read(name: str, path: Path) -> str:
    try:
        value = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise HeaderError(f"the file with the header {name} cannot be read: {path}") from error
    if not value:
        raise HeaderError(f"the file with the header {name} is empty: {path}")
    return value
