"""Messages of real promtool and amtool, mapped to the file and line, and to the line of the spec."""

from pathlib import Path

import pytest

from freezeline.problems import Position, Problem
from generator.prometheus.origins import Generated, position_of, problems
from generator.prometheus.promtool import Tool, find
from tests.tools import Generation

RULES = """\
groups:
  - name: first
    rules:
      - record: a
        expr: sum(
      - alert: A
        expr: up == 0
        labels: {x: '{{ $foo '}
"""
ORIGINS = [(4, Position("slos/x.yaml", 10, 3)), (6, Position("slos/x.yaml", 20, 5))]
GOOD = """\
groups:
  - name: first
    rules:
      - {record: a, expr: x}
      - {alert: A, expr: a > 1, for: 2m, labels: {severity: page}}
"""
TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - name: holds
    interval: 1m
    input_series: [{series: x, values: '2x9'}]
    alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: []}]
  - name: fails, twice
    interval: 1m
    input_series: [{series: x, values: '2x9'}]
    alert_rule_test: [{eval_time: 4m, alertname: A, exp_alerts: []}]
    promql_expr_test: [{expr: x, eval_time: 4m, exp_samples: []}]
"""


@pytest.fixture
def promtool(generation: Generation) -> Tool:
    """The promtool of each generation."""
    return find("promtool", environment={}, given=str(generation.promtool))


@pytest.fixture
def amtool(generation: Generation) -> Tool:
    """The amtool of each generation."""
    return find("amtool", environment={}, given=str(generation.amtool))


def put(folder: Path, name: str, text: str) -> Path:
    """A file in the folder, by its name."""
    (folder / name).write_text(text)
    return Path(name)


def test_good_rules_pass(promtool: Tool, tmp_path: Path) -> None:
    """A valid file gives no message."""
    outcome = promtool.check_rules([put(tmp_path, "rules.yml", GOOD)], tmp_path)
    assert (outcome.ok, outcome.messages) == (True, ())


def test_rules_map_back_to_the_spec(promtool: Tool, tmp_path: Path) -> None:
    """By line if promtool names one, else by group and rule."""
    outcome = promtool.check_rules([put(tmp_path, "rules.yml", RULES)], tmp_path)
    found = problems(outcome, {"rules.yml": Generated(text=RULES, origins=ORIGINS)}, "promtool/rules")
    assert [(problem.code, problem.position, problem.hint) for problem in found] == [
        (
            "promtool/rules",
            Position("slos/x.yaml", 10, 3),
            "promtool read rules.yml:5, which this line of the spec generates",
        ),
        (
            "promtool/rules",
            Position("slos/x.yaml", 20, 5),
            "promtool read rules.yml:6, which this line of the spec generates",
        ),
    ]
    assert "unclosed left parenthesis" in found[0].message
    assert 'undefined variable "$foo"' in found[1].message


def test_an_unknown_field_keeps_its_line(promtool: Tool, tmp_path: Path) -> None:
    """Errors of the YAML decoder stand on a line of their own."""
    text = GOOD + "    nonsense: 3\n"
    outcome = promtool.check_rules([put(tmp_path, "rules.yml", text)], tmp_path)
    assert [(message.file, message.line) for message in outcome.messages] == [("rules.yml", 6)]


def test_rules_that_record_the_same_twice_fail(promtool: Tool, tmp_path: Path) -> None:
    """Two rules with one name and the same labels would overwrite each other."""
    text = GOOD + "      - {record: a, expr: y}\n"
    outcome = promtool.check_rules([put(tmp_path, "rules.yml", text)], tmp_path)
    assert not outcome.ok
    assert [message.text for message in outcome.messages] == ["1 rules record the same series", "two rules record: a"]


def test_failing_unit_tests_are_named(promtool: Tool, tmp_path: Path) -> None:
    """Each failed expectation is one message, and leads to the test's line in the spec."""
    put(tmp_path, "rules.yml", GOOD)
    outcome = promtool.test_rules([put(tmp_path, "x.test.yml", TEST)], tmp_path)
    assert [message.test for message in outcome.messages] == ["fails, twice"] * 2
    assert outcome.messages[0].text.startswith("alertname: A, time: 4m exp:[")
    assert outcome.messages[1].text == 'expr: "x", time: 4m exp: nil got: {__name__="x"} 2E+00'
    origins = [(4, Position("slos/x.yaml", 1)), (8, Position("slos/x.yaml", 2))]
    found = problems(outcome, {"x.test.yml": Generated(text=TEST, origins=origins)}, "promtool/test")
    assert [problem.position for problem in found] == [Position("slos/x.yaml", 2)] * 2


def test_passing_unit_tests_pass(promtool: Tool, tmp_path: Path) -> None:
    """A valid test file gives no message."""
    put(tmp_path, "rules.yml", GOOD)
    text = TEST.partition("  - name: fails")[0]
    assert promtool.test_rules([put(tmp_path, "x.test.yml", text)], tmp_path).ok


def test_a_broken_test_file_is_a_message(promtool: Tool, tmp_path: Path) -> None:
    """The outcome is neither a crash nor a pass."""
    outcome = promtool.test_rules([put(tmp_path, "x.test.yml", "tests:\n  - name: a\n    nonsense: 1\n")], tmp_path)
    assert (outcome.ok, [message.line for message in outcome.messages]) == (False, [3])


def test_a_missing_file_is_a_message(promtool: Tool, tmp_path: Path) -> None:
    """The message holds the tool's own words."""
    outcome = promtool.check_rules([Path("gone.yml")], tmp_path)
    assert "gone.yml" in outcome.messages[0].text


def test_config_is_checked_with_its_rules(promtool: Tool, tmp_path: Path) -> None:
    """A broken rule file is found through the configuration too."""
    put(tmp_path, "rules.yml", RULES)
    outcome = promtool.check_config(put(tmp_path, "prometheus.yml", "rule_files: [rules.yml]\n"), tmp_path)
    assert (outcome.messages[0].file, outcome.messages[0].line) == ("rules.yml", 5)
    outcome = promtool.check_config(put(tmp_path, "prometheus.yml", "global: {nonsense: 1}\n"), tmp_path)
    assert [(message.file, message.line) for message in outcome.messages] == [("prometheus.yml", 1)]


@pytest.mark.parametrize(
    "text,line,words",
    [
        ("route: {receiver: x}\n", None, 'undefined receiver "x" used in route'),
        ("route: {receiver: x}\nreceivers: [{name: x, nonsense: 1}]\n", 2, "field nonsense not found"),
        ("route: [\n", 1, "did not find"),
    ],
)
def test_alertmanager_configs_are_checked(
    amtool: Tool, tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    """The message of amtool, with the line if amtool names one."""
    outcome = amtool.check_config(put(tmp_path, "am.yml", text), tmp_path)
    assert not outcome.ok
    assert [(message.file, message.line) for message in outcome.messages] == [("am.yml", line)]
    assert words in outcome.messages[0].text


def test_a_good_alertmanager_config_passes(amtool: Tool, tmp_path: Path) -> None:
    """The smallest valid configuration."""
    text = "route: {receiver: x}\nreceivers: [{name: x}]\n"
    assert amtool.check_config(put(tmp_path, "am.yml", text), tmp_path).ok


def test_a_message_without_origin_points_into_the_generated_file(promtool: Tool, tmp_path: Path) -> None:
    """A line without origin, such as a shared rule, is shown in the generated file."""
    outcome = promtool.check_rules([put(tmp_path, "rules.yml", RULES)], tmp_path)
    (first, _) = problems(outcome, {}, "promtool/rules")
    assert first == Problem(
        code="promtool/rules", position=Position("rules.yml", 5, 15), message=outcome.messages[0].text
    )


def test_position_of_takes_the_last_origin_above() -> None:
    """Lines above the first origin have none."""
    assert [position_of(line, ORIGINS) for line in (1, 4, 5, 99)] == [
        None,
        ORIGINS[0][1],
        ORIGINS[0][1],
        ORIGINS[1][1],
    ]
