"""What routing and policy believe of alerts is what the rules say."""

import pytest

from generator import names, pipeline
from generator.model import alert_labels
from generator.model.spec import OutputSet, Spec
from tests.acceptance.alertmanager.systems import specs
from tests.unit.generator.spec.loading import good

OWN = """\
policy: [{on: {budget_consumed: 80%}, do: [tell]}]
actions: {tell: {channels: [log]}}
"""
FROM_THE_RULE = {names.SEVERITY, names.TIER, names.BUDGET_CONSUMED_LABEL}


def ruled(spec: Spec) -> list[dict[str, str]]:
    """The alerts of the rule files, with the labels that the rules set; those about Freezeline left out."""
    output_set = OutputSet(scope="test", specs=(spec,))
    return [
        {"alertname": rule.alert, **rule.labels}
        for file in pipeline.rule_files(output_set)
        for group in file.groups
        for rule in group.rules
        if rule.alert and not rule.alert.startswith(names.SELF_PREFIX)
    ]


def as_set(alerts: list[dict[str, str]]) -> set[frozenset[tuple[str, str]]]:
    """Label sets, in no order; a shared rule stands for every SLO of its profile."""
    return {frozenset(labels.items()) for labels in alerts}


@pytest.mark.parametrize("spec", [*specs().values(), good(OWN)], ids=lambda spec: spec.name)
def test_labels_known_beforehand_are_those_of_the_rules(spec: Spec) -> None:
    """Plain alerts: all labels. Shared ones: those that the rule sets; the rest comes from the SLO's series."""
    believed = [
        labels if names.SLO not in labels else {k: v for k, v in labels.items() if k in FROM_THE_RULE | {"alertname"}}
        for labels in alert_labels.of(spec)
    ]
    assert as_set(believed) == as_set(ruled(spec))


@pytest.mark.parametrize("spec", specs().values(), ids=lambda spec: spec.name)
def test_alerts_of_slos_say_whose_they_are(spec: Spec) -> None:
    """Service, team and SLO of each."""
    of_slos = [labels for labels in alert_labels.of(spec) if names.SLO in labels]
    assert {labels[names.SLO] for labels in of_slos} == {slo.name for slo in spec.slos}
    assert {(labels[names.SERVICE], labels[names.TEAM]) for labels in of_slos} == {(spec.service, spec.owner.team)}
