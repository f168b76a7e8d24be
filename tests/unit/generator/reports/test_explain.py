"""Explanations agree with the generated files: factors, thresholds, rules, alerts, policy and people."""

import json

import pytest

from freezeline.cli import main
from generator import pipeline
from generator.reports import explain, explain_text
from generator.reports.explain import Explained
from tests.tools import ROOT
from tests.unit.generator import specs

SLO = specs.BAD_TOTAL
BODY = f"""slos:
  availability: {{objective: 99.9, {SLO}}}
  half: {{objective: 50, {SLO}}}
alerts:
  ErrorsHigh: {{when: 'error_rate > 1', for: 1m, within: 3m, severity: critical}}
policy:
  - {{on: {{alert: ErrorsHigh}}, do: [freeze]}}
  - {{on: {{budget_consumed: 100%, slo: availability}}, do: [freeze], until: {{budget_remaining: 10%, held_for: 30m}}}}
actions:
  freeze: {{flag: /var/lib/freezeline/checkout/FREEZE.FLAG}}
"""


def explained(name: str, body: str = BODY) -> Explained:
    """One SLO or alert of a spec."""
    return next(one for one in explain.explain(specs.spec(body), "slos") if one.name == name)


def test_factors_are_worked_out() -> None:
    """Share × window / long = factor; factor × budget = threshold."""
    found = {tier.name: (tier.factor_working, tier.threshold_working) for tier in explained("availability").tiers}
    assert found == {
        "fast": ("2 % × 30d / 1h = 14.4", "14.4 × 0.001 = 0.0144 (1.44 % errors)"),
        "medium": ("5 % × 30d / 6h = 6", "6 × 0.001 = 0.006 (0.6 % errors)"),
        "slow": ("10 % × 30d / 1d = 3", "3 × 0.001 = 0.003 (0.3 % errors)"),
        "trickle": ("10 % × 30d / 3d = 1", "1 × 0.001 = 0.001 (0.1 % errors)"),
    }


def test_detection_is_told_only_where_the_tier_can_fire() -> None:
    """A budget of 50 % does not burn at 20 % errors; tiers that can never fire are left out with the reason."""
    found = explained("half")
    assert {tier.name: list(tier.detected_after) for tier in found.tiers} == {"trickle": ["100 %"]}
    assert sorted(found.left_out) == ["fast", "medium", "slow"]


def test_rules_are_the_generated_ones() -> None:
    """Each rule of the explanation is in the generated file, with the same expression; shared rules too."""
    spec = specs.spec(BODY)
    loaded = specs.loaded(BODY)
    written = {
        (group.name, rule.name, rule.expr)
        for file in pipeline.rule_files(loaded.output_set)
        for group in file.groups
        for rule in group.rules
    }
    explained_ones = explain.explain(spec, "slos")
    assert {one.kind for one in explained_ones} == {"slo", "alert"}
    for one in explained_ones:
        shown = {(rule.group, rule.name, rule.expr) for rule in one.rules}
        assert shown
        assert shown <= written


def test_policy_follows_its_alerts() -> None:
    """The alert of a spent budget starts its rule, and shows when the freeze ends; other alerts start no rule."""
    found = {
        tuple(alert.labels.get(label, "") for label in ("alertname", "tier", "budget_consumed")): [
            (rule.id, rule.does, rule.unfrozen) for rule in alert.policy
        ]
        for alert in explained("availability").alerts
        if alert.policy
    }
    assert found == {
        ("SLOBudgetConsumed", "", "100"): [
            ("budget-consumed-100-availability", ("freeze",), "10 % of the budget is left for 30m; reviewed after 1d")
        ]
    }


def test_feature_flags_are_told() -> None:
    """A rule's switch says which flag it sets, to what, and where."""
    switch = "  fallback: {feature_flag: provider_fallback, file: /etc/flagd/flags.json, variant: 'on'}\n"
    body = BODY.replace("do: [freeze]}\n  - {on: {budget", "do: [freeze, fallback]}\n  - {on: {budget") + switch
    (alert,) = explained("ErrorsHigh", body).alerts
    assert [rule.sets for rule in alert.policy] == [("provider_fallback to on in /etc/flagd/flags.json",)]
    text = explain_text.text([explained("ErrorsHigh", body)])
    assert "sets provider_fallback to on in /etc/flagd/flags.json" in text


def test_plain_alert_says_when_it_fires() -> None:
    """One evaluation and `for`, beside the promise."""
    facts = explained("ErrorsHigh").facts
    assert facts["fires"] == ("at most 2m after a sample that breaches at once: one evaluation (1m) + for 1m")
    assert facts["promise"] == "within 3m of the first bad sample"


@pytest.mark.parametrize(
    "line, names",
    [
        (4, []),
        (5, ["availability"]),
        (6, ["half"]),
        (8, ["ErrorsHigh"]),
        (10, ["ErrorsHigh"]),
        (11, ["availability"]),
        (13, ["ErrorsHigh", "availability"]),
    ],
)
def test_line(line: int, names: list[str]) -> None:
    """A line of a policy or an action is about the alerts that start the rule or action."""
    loaded = specs.loaded(BODY)
    root = loaded.sources[0].root
    assert root is not None
    assert sorted(explain.at_line(loaded.output_set.specs[0], root, line)) == names


def test_committed_specs_can_be_explained() -> None:
    """Every spec of slos/ and of the examples, as text and as JSON."""
    committed = specs.committed()
    assert len(committed) >= 5
    for name, data in committed:
        loaded = pipeline.load_set([(name, data)], "slos")
        spec = loaded.output_set.specs[0]
        found = explain.explain(spec, "slos")
        assert [one.name for one in found if one.kind == "slo"] == [slo.name for slo in spec.slos]
        assert json.loads(json.dumps([one.as_json() for one in found]))
        text = explain_text.text(found)
        assert "\x1b" not in text
        assert [one.name for one in found if one.name not in text] == []
        assert [one.name for one in found if one.kind == "slo" and not one.panels] == []


def test_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` gives the same facts to scripts; a pipe never gets colour."""
    assert main(["explain", str(ROOT / "slos" / "failure-budget.yaml"), "failures", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["tiers"][0]["threshold_ratio"] == "0.072"
    assert main(["explain", str(ROOT / "slos" / "failure-budget.yaml"), "failures"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nope"], ["0"], ["99999"]])
def test_nothing_of_that_name_or_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the names that exist."""
    assert main(["explain", str(ROOT / "slos" / "failure-budget.yaml"), *words]) == 2
    assert capsys.readouterr().err.startswith("freezeline explain: ")
