"""Proofs beside rule files that promtool cannot read: each such file has a copy as Prometheus needs the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from generator.render.rules.rule_file import RuleFile

PROVEN = "rules/tests/plain/"
_PROOFS = re.compile(r"rules/tests/[^/]+\.test(-native)?\.yml")
_NAMED = re.compile(r"\.\./([^/\n']+\.rules\.yml)")  # a rule file, in the head of its proofs


def read_beside(outputs: Mapping[str, bytes], files: Iterable[RuleFile], note: str) -> dict[str, bytes]:
    """The outputs, in which proofs read plain copies of the rule files that they name. `note` heads each copy."""
    by_path = {file.path: file for file in files}
    found: dict[str, bytes] = {}
    for path, content in outputs.items():
        if not _PROOFS.fullmatch(path):
            found[path] = content
            continue
        head, mark, tests = content.decode().partition("\ntests:\n")
        found |= {PROVEN + name: _plain(by_path[f"rules/{name}"], note) for name in _NAMED.findall(head)}
        found[path] = (_NAMED.sub(r"plain/\1", head) + mark + tests).encode()
    return found


def _plain(file: RuleFile, note: str) -> bytes:
    text, _ = replace(file, header=f"{file.header}\n{note}").text()
    return text.encode()
