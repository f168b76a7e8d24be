"""Labels that split a ratio: both counters must keep the label, and the label must not tell good from bad."""

from __future__ import annotations

from collections.abc import Iterable

from freezeline.problems import Problems
from generator import names
from generator.checks import queries
from generator.checks.queries import Query
from generator.model.spec import OutputSet
from generator.promql import text as promql
from generator.promql.labels import labels_of
from generator.promql.text import Selector

CODES = ("sli/group-by",)

_PARTS = ("bad", "good")


def check(output_set: OutputSet, problems: Problems) -> None:
    """Compare `group_by` of SLOs, and `by` of alerts, with the queries that they split."""
    for spec in output_set.specs:
        for slo in spec.slos:
            if not slo.group_by:
                continue
            found = queries.of_slo(slo)
            _check("group_by", slo.group_by, found, problems)
        for alert in spec.alerts:
            labels: tuple[str, ...] = getattr(alert.condition, "by", ())
            if not labels:
                continue
            found = queries.of_alert(alert)
            _check("by", labels, found, problems)
            for label in labels:
                if label in names.RESERVED_LABELS:
                    hint = "use another label, or rename this one with `metric_relabel_configs`"
                    message = f"alerts.{alert.name}.by: Freezeline's alerts use the label {label!r} themselves"
                    problems.add("spec/reserved-label", alert.at("by"), message, hint)


def _check(key: str, labels: Iterable[str], found: tuple[Query, ...], problems: Problems) -> None:
    total = next((query.selector for query in found if query.role == "total"), None)
    for label in labels:
        for query in found:
            if query.selector is None and not labels_of(promql.parse(query.text)).may_have(label):
                message = f"{query.what}.{query.role}: the query drops the label {label}"
                hint = f"keep the label, as in `sum by ({label}) (…)`, or remove {label} from `{key}`"
                problems.add("sli/group-by", query.position, message, hint)
            elif query.role in _PARTS and query.selector is not None and total is not None:
                parting = _parting(label, query.selector, total)
                if parting:
                    message = (
                        f"{query.what}: `{key}` splits by {label}, and so does {parting} of {query.role}: "
                        f"every group would be all good or all bad"
                    )
                    problems.add("sli/group-by", query.position, message, f"remove {label} from `{key}`")


def _parting(label: str, part: Selector, total: Selector) -> str:
    """The matchers of the label alone that tell `part` from `total`; empty if anything else does too."""
    own, whole = set(part.matchers), set(total.matchers)
    rest = {matcher for matcher in own if matcher[0] != label}
    if part.metric != total.metric or rest != {matcher for matcher in whole if matcher[0] != label}:
        return ""
    return ", ".join(f'{name}{op}"{value}"' for name, op, value in sorted(own - whole))
