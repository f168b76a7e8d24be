"""Nothing is written that does not parse, whoever of the two processes finds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from freezeline.problems import Position, Problem
from generator.emitted import HELPED_FROM, Parsing
from generator.render.rule_file import Group, Rule, RuleFile
from generator.second_process import DiedError, SecondProcess

MANY = HELPED_FROM * 5


def file(expressions: list[str]) -> RuleFile:
    """A rule file of these expressions, each from a line of its own."""
    rules = tuple(
        Rule(record=f"r{number}", expr=expr, origin=Position("a.yaml", number + 1))
        for number, expr in enumerate(expressions)
    )
    return RuleFile(path="rules/a.rules.yml", header="", groups=(Group(name="g", interval_ms=1000, rules=rules),))


def lines(found: list[Problem]) -> list[int]:
    """The lines that problems point at."""
    return [problem.position.line for problem in found]


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("count", [10, MANY])
def test_what_does_not_parse_is_found_at_its_place(count: int, processors: int) -> None:
    """First, last and in between; by one process or by two."""
    wrong = {0, count // 2, count - 1}
    expressions = [f"sum(a{number}" + ("" if number in wrong else ")") for number in range(count)]
    found = Parsing([file(expressions)], processors).faults()
    assert lines(found) == [number + 1 for number in sorted(wrong)]
    assert {(problem.code, problem.position.file, problem.warning) for problem in found} == {
        ("internal/promql", "a.yaml", False)
    }


@pytest.mark.parametrize("processors", [1, 2])
def test_sound_expressions_have_no_faults(processors: int) -> None:
    """All of them are parsed, and nothing is said."""
    assert Parsing([file([f"rate(a{number}[5m])" for number in range(MANY)])], processors).faults() == []


def test_an_expression_that_stands_twice_is_told_once() -> None:
    """At the first place."""
    assert lines(Parsing([file(["1 +", "1", "1 +"])], 1).faults()) == [1]


def test_a_shared_rule_is_told_by_its_file() -> None:
    """It comes from no single place of a spec."""
    group = Group(name="g", interval_ms=1000, rules=(Rule(record="r", expr="("),))
    (found,) = Parsing([RuleFile(path="rules/shared.yml", header="", groups=(group,))], 1).faults()
    assert found.position == Position("rules/shared.yml")


def test_a_process_with_threads_is_not_copied() -> None:
    """The copy could wait for a lock that a thread held: such a process counts one processor."""
    script = (
        "import os, threading; from generator.second_process import processors\n"
        "alone, leave = processors(), threading.Event()\n"
        "thread = threading.Thread(target=leave.wait); thread.start()\n"
        "beside = processors(); leave.set()\n"
        "print(alone == len(os.sched_getaffinity(0)), beside)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True 1\n"


def test_a_second_process_answers() -> None:
    """With what its work returned."""
    assert SecondProcess(lambda: {"pid": os.getpid()}).result() != {"pid": os.getpid()}


@pytest.mark.parametrize("end", [lambda: 1 // 0, lambda: os.kill(os.getpid(), signal.SIGKILL), object])
def test_a_second_process_that_dies_is_noticed(end: object) -> None:
    """By an exception, by a signal, or for an answer that cannot be sent."""
    with pytest.raises(DiedError):
        SecondProcess(end).result()  # type: ignore[arg-type] # each is called without arguments
