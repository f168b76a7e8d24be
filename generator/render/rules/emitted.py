"""Parses every expression before it is written. A fault in an expression is our mistake, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

import promql_parser

from freezeline.problems import Position, Problem
from generator.render.rules.rule_file import RuleFile

PARSE_CODE = "internal/promql"

_HINT = "this is a mistake of freezeline's own: please report it, with this SLO or alert"


def faults(files: Iterable[RuleFile]) -> list[Problem]:
    """Expressions that do not parse, as problems of their places in the spec; each distinct text once."""
    found = []
    for expression, position in _places(files).items():
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            message = f"a generated expression does not parse: {error}"
            found.append(Problem(code=PARSE_CODE, position=position, message=message, hint=_HINT))
    return found


def _places(files: Iterable[RuleFile]) -> dict[str, Position]:
    """Each distinct expression with its place in a spec; for shared rules, with the rule file."""
    places: dict[str, Position] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                places.setdefault(rule.expr, rule.origin or Position(file.path))
    return places
