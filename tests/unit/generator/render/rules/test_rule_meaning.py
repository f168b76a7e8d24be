"""The committed rules mean what `tests/data/rule-meaning.txt` says: layout and texts may change, meaning may not.

One line per rule: file, group, name and labels, and a digest of the expression without spaces and comments. A change of
meaning is a change of this file, and a reviewer sees it beside thousands of lines that only moved. To accept one:
`.venv/bin/python -m tests.unit.generator.render.rules.test_rule_meaning`.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.tools import ROOT

GOLDEN = ROOT / "tests/data/rule-meaning.txt"
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`|#[^\n]*|[\w.:$]+|\s+|[^\w\s]')


def tokens(expression: str) -> list[str]:
    """The expression without spaces and comments."""
    return [token for token in TOKEN.findall(expression) if not token.isspace() and not token.startswith("#")]


def meaning(expression: str) -> str:
    """A digest that is the same for each layout of one expression."""
    return hashlib.sha256(" ".join(tokens(expression)).encode()).hexdigest()[:12]


def rules(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(group, rule) of a rule file."""
    for group in yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["groups"]:
        for rule in group["rules"]:
            yield group, rule


def lines() -> Iterator[str]:
    """What the golden file holds: all shipped rules; and for each build for tests, a digest of all its rules."""
    for path in sorted((ROOT / "rules").glob("*.rules.yml")):
        for group, rule in rules(path):
            labels = ",".join(f"{name}={value}" for name, value in sorted(rule.get("labels", {}).items()))
            name = rule.get("record") or f"ALERT {rule['alert']} for {rule.get('for', '0s')}"
            yield f"{path.name} {group['name']} {group['interval']} {name} {{{labels}}} {meaning(rule['expr'])}"
    for path in sorted((ROOT / "rules/tests").glob("*.rules.yml")):
        digests = [
            f"{group['name']} {rule.get('record')} {rule.get('alert')} {sorted(rule.get('labels', {}).items())} "
            f"{rule.get('for')} {meaning(rule['expr'])}"
            for group, rule in rules(path)
        ]
        yield f"tests/{path.name} {hashlib.sha256(chr(10).join(digests).encode()).hexdigest()[:12]}"


def test_rules_mean_what_they_meant() -> None:
    """Series, alerts, labels, durations and expressions, whatever their layout."""
    assert "\n".join(lines()) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_comments_and_layout_are_read_as_nothing() -> None:
    """The digest looks at exactly what Prometheus' grammar looks at."""
    plain = 'sum by (a) (x{b="# no  comment"}) > 0.5'
    laid_out = '# why\nsum by (a) (\n  x{b="# no  comment"}\n)\n# limit\n> 0.5'
    assert (meaning(plain), promql_parser.parse(plain).prettify()) == (
        meaning(laid_out),
        promql_parser.parse(laid_out).prettify(),
    )


@pytest.mark.parametrize("other", ['sum by (a) (x{b="# no comment"}) > 0.5', 'sum by (a) (x{b="# no  comment"}) > 0.6'])
def test_another_expression_has_another_digest(other: str) -> None:
    """A space inside a string counts, and so does each number."""
    assert meaning(other) != meaning('sum by (a) (x{b="# no  comment"}) > 0.5')


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(lines()) + "\n", encoding="utf-8")
