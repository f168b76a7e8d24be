"""Parses every expression that is about to be written. A fault in one is ours, and then nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

import promql_parser

from freezeline.problems import Position, Problem
from generator.render.rules.rule_file import RuleFile

PARSE_CODE = "internal/promql"

_HINT = "this is a mistake of freezeline's own: please report it, with this SLO or alert"


def faults(files: Iterable[RuleFile]) -> list[Problem]:
    """What does not parse, as problems of the places in the spec that it comes from; each distinct text once."""
    found = []
    for expression, position in _places(files).items():
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            message = f"a generated expression does not parse: {error}"
            found.append(Problem(code=PARSE_CODE, position=position, message=message, hint=_HINT))
    return found


def _places(files: Iterable[RuleFile]) -> dict[str, Position]:
    """Each distinct expression, and where in a spec it comes from; for shared rules, the file they stand in."""
    places: dict[str, Position] = {}
    for file in files:
        for group in file.groups:
            for rule in group.rules:
                places.setdefault(rule.expr, rule.origin or Position(file.path))
    return places
