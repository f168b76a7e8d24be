"""What existing inhibitions and routes do to our alerts is said, with the line of the rule."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from freezeline.cli import main
from freezeline.problems import Problem, Problems
from generator import pipeline
from generator.existing.judge import judge_file
from generator.model.spec import OutputSet
from generator.render.alertmanager.places import DEFAULTS
from tests.tools import ROOT

DATA = ROOT / "tests" / "data" / "alertmanager-configs"
SPEC = """\
apiVersion: freezeline/v1
service: {service}
owner: {{team: {service}{address}}}
slos:
  availability: {{objective: 99.9, sli: {{bad: 'x_total{{code="500"}}', total: x_total}}}}
  latency: {{objective: 99, group_by: [route], sli: {{bad: slow_total, total: x_total}}}}
alerts:
  Mild: {{when: 'x > 1', severity: info}}
policy:
  - {{on: {{alert: {trigger}}}, do: [freeze]}}
actions:
  freeze: {{flag: /var/lib/freezeline/{service}/FREEZE.FLAG}}
"""
SLOW = "SLOBudgetBurn, tier: slow"


def output_set(trigger: str = SLOW, address: str = ', slack: "#a"') -> OutputSet:
    """Two services with the same SLOs and the same policy."""
    files = [
        (f"{service}.yaml", SPEC.format(service=service, trigger=trigger, address=address).encode())
        for service in ("checkout", "search")
    ]
    loaded = pipeline.load_set(files, "slos")
    assert loaded.problems.errors == []
    return loaded.output_set


def judged(text: str, specs: OutputSet) -> list[Problem]:
    """The warnings for a file."""
    problems = Problems()
    judge_file("alertmanager.yml", text, specs, DEFAULTS, problems)
    assert problems.errors == []
    return list(problems)


def inhibiting(*rules: str) -> str:
    """A configuration with these inhibitions, the first one on line 6."""
    head = "route:\n  receiver: me\nreceivers:\n- {name: me, webhook_configs: [{url: 'http://x/'}]}\n"
    return head + "inhibit_rules:\n" + "".join(f"- {rule}\n" for rule in rules)


def rule(source: str, target: str, equal: str) -> str:
    """One inhibition on one line."""
    return f"{{source_matchers: [{source}], target_matchers: [{target}], equal: [{equal}]}}"


CRITICAL, WARNING, INFO = "severity=critical", "severity=warning", "severity=info"


def test_the_inhibition_that_alertmanager_ships_hides_another_services_freeze() -> None:
    """One service's fast burn hides the other's slow burn, and the freeze that waits for the slow burn."""
    text = (DATA / "inhibit-shared-alertname.yml").read_text()
    (found,) = judged(text, output_set())
    assert (found.code, found.warning) == ("alertmanager/inhibits", True)
    assert text.split("\n")[found.position.line - 1].startswith("- source_matchers: [severity=")
    assert "SLOBudgetBurn (SLO availability, tier slow) of checkout" in found.message
    assert "of search fires" in found.message
    assert "no freeze or other action begins by policy rules: slo-budget-burn-slow of checkout" in found.message
    name = found.hint.partition("`- ")[2].partition("`")[0]
    mended = text.replace('target_matchers: [severity="warning"]', f"target_matchers: [severity=\"warning\", '{name}']")
    assert mended != text
    assert judged(mended, output_set()) == []


@pytest.mark.parametrize(
    "inhibition,hides",
    [
        (rule(CRITICAL, WARNING, "alertname"), True),
        (rule(CRITICAL, WARNING, "alertname, dev, instance"), True),
        (rule(CRITICAL, WARNING, ""), True),
        (rule(CRITICAL, WARNING, "alertname, cluster"), True),
        (rule("alertname=SLOBudgetBurn", "alertname=SLONoData", "slo"), True),
        (rule(CRITICAL, "'severity=~\"warning|info\"'", "namespace, alertname"), True),
        (rule("'{severity=\"critical\"}'", "'severity != critical'", "alertname"), True),
        ("{source_match: {severity: critical}, target_match_re: {severity: warn.*}, equal: [alertname]}", True),
        (rule("cluster=eu, severity=critical", "cluster=eu, severity=warning", "alertname"), True),
        (rule("cluster=eu, severity=critical", "cluster=us, severity=warning", "alertname"), False),
        (rule(CRITICAL, WARNING, "alertname, service, slo"), True),  # a policy waits for the slow tier only
        (rule(CRITICAL, WARNING, "team, alertname, slo"), True),
        (rule("service=search, severity=critical", "service=search, tier=trickle", "alertname, slo"), False),
        (rule("alertname=NodeDown", "'severity=~\".+\"'", "instance"), True),  # another alert hides an awaited one
        (rule("alertname=NodeDown", "severity=info", "instance"), False),
        (rule("alertname=InfoInhibitor", INFO, "namespace"), False),
        (rule("alertname=NodeDown, service=other", WARNING, "service"), False),
        (rule("severity=page", "severity=ticket", "alertname"), False),
        (rule("cluster=eu", "cluster=eu", "alertname"), False),  # each matches both sides, so none is hidden
        (rule("cluster=eu", "region=west", "alertname"), False),  # the same
        (rule("cluster=eu, severity=critical", "region=west", "alertname"), True),
    ],
)
def test_each_kind_of_inhibition(inhibition: str, hides: bool) -> None:  # noqa: FBT001 - a column of the table
    """Matchers of all three forms, `equal` with and without service, labels that only external labels can bring."""
    found = judged(inhibiting(inhibition), output_set())
    assert [(problem.code, problem.position.line) for problem in found] == (
        [("alertmanager/inhibits", 6)] if hides else []
    )


@pytest.mark.parametrize("name", ["mixed-line-ends.yml", "users-template.yml"])
def test_labels_that_freezeline_does_not_set_are_named_as_a_condition(name: str) -> None:
    """No alert of Freezeline hides another by labels that all of them have; other alerts may."""
    text = (DATA / name).read_bytes().decode()
    (found,) = judged(text, output_set())
    assert found.position.line == 18
    assert found.message.startswith("while another alert fires, this inhibition hides SLOBudgetBurn (SLO availability")
    assert " (only if `external_labels` set c); no freeze" in found.message


def test_a_label_that_a_matcher_lets_be_empty_is_no_condition() -> None:
    """The rule of this test hides alerts that lack the label, as Freezeline's do."""
    (found,) = judged(inhibiting(rule("alertname=NodeDown", "'zone!=west'", "instance")), output_set())
    assert "external_labels" not in found.message


def test_a_policy_that_begins_with_the_faster_tier_too_loses_nothing() -> None:
    """Within one SLO the faster tier may hide the slower one, as Freezeline's own inhibitions do."""
    same_slo = inhibiting(rule(CRITICAL, WARNING, "alertname, service, slo, route"))
    assert judged(same_slo, output_set("SLOBudgetBurn")) == []
    assert len(judged(same_slo, output_set(SLOW))) == 1


def test_an_alert_for_information_that_a_policy_waits_for_is_not_silent_unnoticed() -> None:
    """kube-prometheus hides alerts of severity `info`; its other inhibitions compare `alertname`."""
    kube = (DATA / "kube-prometheus.yml").read_text()
    lines = kube.split("\n")
    found = judged(kube, output_set("Mild"))
    at = [lines.index("inhibit_rules:") + 2, lines.index("      - 'alertname = InfoInhibitor'")]
    assert [problem.position.line for problem in found if problem.code == "alertmanager/inhibits"] == at
    assert "Mild of checkout" in found[-1].message


HAND = """\
route:
  receiver: oncall
  routes:
  - receiver: db
    matchers: [team="search"]
  - receiver: freezeline
    matchers: ['freezeline_policy != "off"']
    continue: true
  - receiver: oncall
receivers:
- name: oncall
  webhook_configs: [{url: 'http://x/'}]
- name: db
- name: freezeline
  webhook_configs: [{url: 'http://127.0.0.1:9099/webhook'}]
"""


def shown(problems: Sequence[Problem]) -> list[tuple[str, int]]:
    """Codes and lines."""
    return [(problem.code, problem.position.line) for problem in problems]


def test_routes_by_hand_are_judged_as_they_stand() -> None:
    """A route before ours takes alerts away, a receiver without notifiers tells nobody, the watchdog pages for ever."""
    found = judged(HAND, output_set())
    assert shown(found) == [
        ("alertmanager/missed", 4),
        ("alertmanager/unheard", 4),
        ("alertmanager/watchdog", 9),
    ]
    mended = HAND.replace(
        '  - receiver: db\n    matchers: [team="search"]\n',
        "  - receiver: freezeline\n    matchers: [alertname=FreezelineWatchdog]\n",
    )
    assert judged(mended, output_set()) == []


def test_a_root_that_tells_nobody_is_said_where_no_address_is() -> None:
    """Alerts of an owner without address follow the user's routes, here into nothing."""
    kube = (DATA / "kube-prometheus.yml").read_text()
    bare = [one for one in judged(kube, output_set(address="")) if one.code == "alertmanager/unheard"]
    assert [kube.split("\n")[one.position.line - 1] for one in bare] == ["  group_by: ['namespace']"]
    assert not [one for one in judged(kube, output_set()) if one.code == "alertmanager/unheard"]


@pytest.mark.parametrize("command", ["validate", "merge"])
def test_both_commands_say_it_and_go_on(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`validate --alertmanager` and `alertmanager merge` show the warning with the line of the file, exit code 0."""
    config, folder = tmp_path / "alertmanager.yml", tmp_path / "slos"
    config.write_text("# ours\r\n" + (DATA / "inhibit-shared-alertname.yml").read_text())
    folder.mkdir()
    for service in ("checkout", "search"):
        spec = SPEC.format(service=service, trigger=SLOW, address="")
        (folder / f"{service}.yaml").write_text(spec)
    words = {
        "validate": ["validate", str(folder), "--no-promtool", "--alertmanager", str(config)],
        "merge": ["alertmanager", "merge", str(config), str(folder)],
    }[command]
    assert main(words) == 0
    err = capsys.readouterr().err
    assert f"{config}:8:3: warning: this inhibition hides SLOBudgetBurn" in err
    assert '\n    - source_matchers: [severity="critical"]\n' in err
    assert "[alertmanager/unheard]" in err


def test_a_configuration_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the file's name."""
    assert main(["validate", str(ROOT / "slos"), "--no-promtool", "--alertmanager", "none.yml"]) == 2
    assert "none.yml" in capsys.readouterr().err
