"""Labels of results: those that split a ratio, those that get lost, and those that an alert itself writes."""

from __future__ import annotations

from collections.abc import Iterable

from freezeline.problems import Problems
from generator import names
from generator.checks import queries
from generator.checks.queries import Query
from generator.conditions.when import When
from generator.model.spec import OutputSet, PlainAlert
from generator.promql import text as promql
from generator.promql.labels import labels_of
from generator.promql.text import Selector

CODES = ("sli/group-by", "sli/labels-lost", "spec/reserved-label")

_PARTS = ("bad", "good")
_ADDED_UP = ("bad", "good", "total", "error_ratio", "weight")
_WRITTEN = (names.SERVICE, names.SEVERITY, names.TEAM, "alertname")


def check(output_set: OutputSet, problems: Problems) -> None:
    """Compare `group_by` of SLOs, and `by` of alerts, with the queries that they split."""
    for spec in output_set.specs:
        for slo in spec.slos:
            found = queries.of_slo(slo)
            _check("group_by", slo.group_by, found, problems)
            _check_lost(slo.group_by, found, problems)
        for alert in spec.alerts:
            if isinstance(alert.condition, When):
                _check_written(alert, alert.condition.query, problems)
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


def _check_lost(group_by: tuple[str, ...], found: tuple[Query, ...], problems: Problems) -> None:
    """Warn of labels that a query keeps on purpose, and that the SLO then adds up."""
    for query in found:
        if query.selector is not None or query.role not in _ADDED_UP:
            continue
        kept = labels_of(promql.parse(query.text)).exact or frozenset()
        lost = sorted(kept - set(group_by))
        if lost:
            message = f"{query.what}.{query.role}: the query keeps {', '.join(lost)}, and the SLO adds all series up"
            wanted = ", ".join([*group_by, *lost])
            hint = f"write `group_by: [{wanted}]` for a budget of each, or remove {', '.join(lost)} from the query"
            problems.add("sli/labels-lost", query.position, message, hint, warning=True)


def _check_written(alert: PlainAlert, query: str, problems: Problems) -> None:
    """Labels of a result that the alert's rule overwrites: series that differ in nothing else collide there."""
    written = (*_WRITTEN, names.ALERT) if alert.consecutive > 1 else _WRITTEN
    labels = labels_of(promql.parse(query))
    filtered = {name for series in queries.series(query) for name, op, _ in series.matchers if op != "="}
    for label in written:
        certain = labels.exact is not None and label in labels.exact
        if not certain and not (label in filtered and labels.may_have(label)):
            continue
        message = f"alerts.{alert.name}.when: the result has the label {label}, and the alert writes its own {label}"
        hint = (
            f'write `label_replace(…, "exported_{label}", "$1", "{label}", "(.*)")` and keep exported_{label}, '
            f"or aggregate {label} away: series that differ only in {label} make the evaluation fail"
        )
        problems.add("spec/reserved-label", alert.at("when"), message, hint, warning=not certain)


def _parting(label: str, part: Selector, total: Selector) -> str:
    """The matchers of the label alone that tell `part` from `total`; empty if anything else does too."""
    own, whole = set(part.matchers), set(total.matchers)
    rest = {matcher for matcher in own if matcher[0] != label}
    if part.metric != total.metric or rest != {matcher for matcher in whole if matcher[0] != label}:
        return ""
    return ", ".join(f'{name}{op}"{value}"' for name, op, value in sorted(own - whole))
