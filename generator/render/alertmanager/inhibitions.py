"""Which alert silences which in Alertmanager: a faster tier a slower one, all spent half spent, a cause its symptoms.

Alertmanager hides an inhibited alert from every receiver, also from Freezeline's. Therefore only alerts that start the
same policy rule silence an alert that the rule waits for.
"""

from __future__ import annotations

from collections.abc import Iterable

from generator import names
from generator.model import alert_labels
from generator.model.alert_labels import begins
from generator.model.burn import consumed_label
from generator.model.spec import Slo, Spec
from generator.promql.text import quote
from generator.text.yaml_text import Plain

Data = dict[str, Plain]


def matcher(label: str, *values: str) -> str:
    """One of Alertmanager's matchers: equality, or any of several values."""
    if len(values) == 1:
        return f"{label}={quote(values[0])}"
    return f"{label}=~{quote('|'.join(_literal(value) for value in values))}"


def _literal(value: str) -> str:
    """`value` for a regular expression, with its special characters escaped."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in value)


def render(spec: Spec) -> list[Data]:
    """Alertmanager's `inhibit_rules` of one spec."""
    return [*_tiers(spec), *_consumed(spec), *_causes(spec)]


def _causes(spec: Spec) -> Iterable[Data]:
    for inhibition in spec.routing.inhibit if spec.routing else ():
        yield {
            "source_matchers": [matcher(names.SERVICE, spec.service), matcher("alertname", inhibition.cause)],
            "target_matchers": [matcher(names.SERVICE, spec.service), matcher("alertname", *inhibition.symptoms)],
            "equal": [names.SERVICE],
        }


def _same_slo(spec: Spec) -> list[str]:
    """The labels that two alerts of one SLO (and group) have in common."""
    groups = sorted({label for slo in spec.slos for label in slo.group_by})
    return [names.SERVICE, names.SLO, names.SCOPE, *groups]


def _tiers(spec: Spec) -> Iterable[Data]:
    """While a faster tier burns, the slower tiers of the same SLO are silent."""
    by_tiers: dict[tuple[str, ...], list[Slo]] = {}
    for slo in spec.slos:
        fastest_first = sorted(slo.profile.tiers, key=lambda tier: -tier.factor)
        by_tiers.setdefault(tuple(tier.name for tier in fastest_first), []).append(slo)
    for tiers, slos in by_tiers.items():
        only = [] if len(by_tiers) == 1 else [matcher(names.SLO, *(slo.name for slo in slos))]
        for index, tier in enumerate(tiers):
            slower = [name for name in tiers[index + 1 :] if _harmless(spec, slos, names.TIER, tier, name)]
            if slower:
                common = [matcher(names.SERVICE, spec.service), matcher("alertname", names.BUDGET_BURN), *only]
                yield {
                    "source_matchers": [*common, matcher(names.TIER, tier)],
                    "target_matchers": [*common, matcher(names.TIER, *slower)],
                    "equal": _same_slo(spec),
                }


def _consumed(spec: Spec) -> Iterable[Data]:
    """Once a larger share is spent, the alerts of smaller shares are silent."""
    shares = sorted({share for slo in spec.slos for share in slo.profile.consumed}, reverse=True)
    labels = [consumed_label(share) for share in shares]
    for index, label in enumerate(labels):
        smaller = [
            other
            for other in labels[index + 1 :]
            if _harmless(spec, list(spec.slos), names.BUDGET_CONSUMED_LABEL, label, other)
        ]
        if smaller:
            common = [matcher(names.SERVICE, spec.service), matcher("alertname", names.BUDGET_CONSUMED)]
            yield {
                "source_matchers": [*common, matcher(names.BUDGET_CONSUMED_LABEL, label)],
                "target_matchers": [*common, matcher(names.BUDGET_CONSUMED_LABEL, *smaller)],
                "equal": _same_slo(spec),
            }


def _harmless(spec: Spec, slos: list[Slo], label: str, cause: str, symptom: str) -> bool:
    """Whether the cause starts every rule that the symptom starts."""
    if not spec.policy:
        return True
    slo_names = {slo.name for slo in slos}
    by_value: dict[tuple[str, str], alert_labels.AlertLabels] = {
        (labels[names.SLO], labels[label]): labels
        for labels in alert_labels.of(spec)
        if label in labels and labels.get(names.SLO) in slo_names
    }
    return all(
        begins(rule, by_value[slo, cause])
        for rule in spec.policy
        for slo in slo_names
        if (slo, cause) in by_value and (slo, symptom) in by_value and begins(rule, by_value[slo, symptom])
    )
