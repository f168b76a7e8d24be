"""The alerts that Freezeline generates, with everything about them that decides how Alertmanager treats them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from generator import names
from generator.model import alert_labels
from generator.model.actions import NotifyAction
from generator.model.alert_labels import begins
from generator.model.spec import OutputSet, Spec
from generator.render.rules import self_rules


class OurAlert(Struct, frozen=True, kw_only=True):
    """One alert. `data_labels` come from the data and may have any value.

    `rules` are the policy rules that the alert begins, and `told` is whether one of them sends a notice.
    """

    labels: Mapping[str, str]
    data_labels: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    told: bool = False

    @property
    def service(self) -> str:
        """The alert's service."""
        return self.labels[names.SERVICE]

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    def fixed(self, label: str) -> str | None:
        """The label's value if the value is known: Freezeline sets the label, or owns the label and leaves it out."""
        if label in self.labels:
            return self.labels[label]
        owned = label in names.RESERVED_LABELS or label == names.SLO
        return "" if owned and label not in self.data_labels else None

    def __str__(self) -> str:
        """The alert for people: `SLOBudgetBurn (tier slow) of checkout`."""
        facts = ((names.SLO, "SLO"), (names.TIER, "tier"), (names.BUDGET_CONSUMED_LABEL, "spent"))
        shown = [f"{word} {self.labels[label]}" for label, word in facts if label in self.labels]
        kind = f" ({', '.join(shown)})" if shown else ""
        return f"{self.name}{kind} of {self.service}"


def of(output_set: OutputSet) -> tuple[OurAlert, ...]:
    """Every alert of the set, and the alerts about Freezeline itself."""
    return tuple(_of(output_set))


def _of(output_set: OutputSet) -> Iterable[OurAlert]:
    for spec in output_set.specs:
        for labels in alert_labels.of(spec):
            scope = {names.SCOPE: output_set.scope} if names.SLO in labels else {}
            rules = [rule for rule in spec.policy if begins(rule, labels)]
            yield OurAlert(
                labels={**labels, **scope},
                data_labels=_data_labels(spec, labels),
                rules=frozenset(rule.id for rule in rules),
                told=any(isinstance(spec.actions.get(name), NotifyAction) for rule in rules for name in rule.do),
            )
    for group in self_rules.render(output_set.scope, acts=True).groups:
        for rule in group.rules:
            yield OurAlert(labels={"alertname": rule.alert, **rule.labels})


def _data_labels(spec: Spec, labels: Mapping[str, str]) -> frozenset[str]:
    """The labels that an SLO is grouped by."""
    return frozenset(label for slo in spec.slos if slo.name == labels.get(names.SLO) for label in slo.group_by)
