"""Freezeline writes no expression that does not parse."""

from __future__ import annotations

import promql_parser
import pytest

from freezeline.problems import Position, Problem
from generator.render.rules import emitted
from generator.render.rules.rule_file import Group, Rule, RuleFile

MANY = 1000


def file(expressions: list[str]) -> RuleFile:
    """A rule file of these expressions, each from another line of the spec."""
    rules = tuple(
        Rule(record=f"r{number}", expr=expr, origin=Position("a.yaml", number + 1))
        for number, expr in enumerate(expressions)
    )
    return RuleFile(path="rules/a.rules.yml", header="", groups=(Group(name="g", interval_ms=1000, rules=rules),))


def lines(found: list[Problem]) -> list[int]:
    """The lines that problems point at."""
    return [problem.position.line for problem in found]


@pytest.mark.parametrize("count", [10, MANY])
def test_what_does_not_parse_is_found_at_its_place(count: int) -> None:
    """First, last and in between."""
    wrong = {0, count // 2, count - 1}
    expressions = [f"sum(a{number}" + ("" if number in wrong else ")") for number in range(count)]
    found = emitted.faults([file(expressions)])
    assert lines(found) == [number + 1 for number in sorted(wrong)]
    assert {(problem.code, problem.position.file, problem.warning) for problem in found} == {
        ("internal/promql", "a.yaml", False)
    }


def test_sound_expressions_have_no_faults() -> None:
    """All expressions parse, and no fault is reported."""
    assert emitted.faults([file([f"rate(a{number}[5m])" for number in range(MANY)])]) == []


def test_an_expression_that_stands_twice_is_told_once() -> None:
    """A repeated expression is reported once, at its first place."""
    assert lines(emitted.faults([file(["1 +", "1", "1 +"])])) == [1]


def test_a_shared_rule_is_told_by_its_file() -> None:
    """A shared rule comes from no single place of a spec."""
    group = Group(name="g", interval_ms=1000, rules=(Rule(record="r", expr="("),))
    (found,) = emitted.faults([RuleFile(path="rules/shared.yml", header="", groups=(group,))])
    assert found.position == Position("rules/shared.yml")


def test_expressions_that_differ_in_matchers_alone_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand SLOs have one shape, and each faulty expression is still told at its own place."""
    parsed: list[str] = []
    real = promql_parser.parse

    def parse(text: str) -> object:
        parsed.append(text)
        return real(text)

    monkeypatch.setattr(promql_parser, "parse", parse)
    sound = [
        f'sum(rate(a_b{{job="j{number}"}}[5m])) or a:b{{slo="s{number}",code=~"5..|4.."}}' for number in range(MANY)
    ]
    assert emitted.faults([file(sound)]) == []
    assert parsed == ['sum(rate(a_b{y="z"}[5m])) or a:b{y="z"}']
    wrong = [f'sum(rate(a_b{{job="j{number}"}}[5m])' for number in range(3)]
    assert lines(emitted.faults([file(wrong)])) == [1, 2, 3]


@pytest.mark.parametrize(
    "expression",
    [
        'a_b{job="j",job!="k"} >',
        'a_b{__name__="c"} + 1',
        'sum by (a_b{job="j"}) (x)',
        'a_b{job="j"} {c="d"}',
        '{job=""}',
        'a_b{job="j",,}',
    ],
)
def test_a_selector_in_the_wrong_place_is_found(expression: str) -> None:
    """The shape of an expression parses only where the expression does."""
    assert lines(emitted.faults([file([expression])])) == [1]
