"""Parses every expression before it is written. A fault in an expression is our mistake, and nothing is written.

Expressions of many SLOs differ only in the matchers of selectors. The parser gets each shape once.
"""

from __future__ import annotations

from collections.abc import Iterable

import promql_parser

from freezeline.problems import Position, Problem
from generator.promql import text as promql
from generator.render.rules.rule_file import RuleFile

PARSE_CODE = "internal/promql"

_HINT = "this is a mistake of freezeline's own: please report it, with this SLO or alert"


def faults(files: Iterable[RuleFile]) -> list[Problem]:
    """Expressions that do not parse, as problems of their places in the spec; each distinct text once."""
    errors: dict[str, str] = {}
    found = []
    for expression, position in _places(files).items():
        shape = promql.shape(expression)
        if shape not in errors:
            errors[shape] = _error(shape)
        if errors[shape]:
            message = f"a generated expression does not parse: {_error(expression) or errors[shape]}"
            found.append(Problem(code=PARSE_CODE, position=position, message=message, hint=_HINT))
    return found


def _error(expression: str) -> str:
    """Why the parser refuses an expression; empty if the expression is sound."""
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        return str(error) or "no reason given"
    return ""


def _places(files: Iterable[RuleFile]) -> dict[str, Position]:
    """Each distinct expression with its place in a spec; for shared rules, with the rule file."""
    places: dict[str, Position] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                places.setdefault(rule.expr, rule.origin or Position(file.path))
    return places
