"""Which inhibitions of an existing configuration hide Freezeline's alerts, and with them what a policy waits for.

Alertmanager hides an inhibited alert from every receiver, also from Freezeline's. Two cases are reported: an alert of
Freezeline hides another one that says something else, and any other alert hides one that a policy rule waits for.
A label that Freezeline does not set may come from `external_labels`; both alerts then have the same value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml
from msgspec import Struct

from freezeline.problems import Problems
from generator import names
from generator.existing import matchers
from generator.existing.document import Document, items, mappings
from generator.existing.matchers import Matchers
from generator.existing.our_alerts import OurAlert

_SHOWN = 3
_ANY = "\0any other value"
_Key = tuple[str | None, ...]
_Sources = dict[_Key, dict[tuple[object, ...], OurAlert]]


class _Rule(Struct, frozen=True, kw_only=True):
    """One inhibition of the user."""

    node: yaml.Node
    source: Matchers
    target: Matchers
    equal: tuple[str, ...]


class _Hidden(Struct, frozen=True, kw_only=True):
    """An alert that an inhibition hides. `by` is the alert of Freezeline that hides it; None for other alerts."""

    alert: OurAlert
    by: OurAlert | None
    lost: tuple[str, ...]  # the policy rules that do not begin


def check(document: Document, ours: Sequence[OurAlert], problems: Problems) -> None:
    """Warn of each inhibition that hides something that should be heard."""
    for rule in _rules(document):
        hidden = list(_hidden_by_ours(rule, ours)) or list(_hidden_by_others(rule, ours))
        if hidden:
            problems.add(
                "alertmanager/inhibits",
                document.position(rule.node),
                _message(rule, hidden),
                _hint(hidden),
                warning=True,
            )


def _rules(document: Document) -> Iterator[_Rule]:
    nodes = items(document.root, "inhibit_rules")
    data = mappings(document.data.get("inhibit_rules"))
    for node, rule in zip(nodes, data, strict=False):
        equal = rule.get("equal")
        yield _Rule(
            node=node,
            source=matchers.of(rule, "source_"),
            target=matchers.of(rule, "target_"),
            equal=tuple(map(str, equal)) if isinstance(equal, list) else (),
        )


def hidden(document: Document, ours: Sequence[OurAlert]) -> Iterator[OurAlert]:
    """Every alert that another alert of Freezeline hides, also where nobody misses the hidden alert."""
    for rule in _rules(document):
        for alert in ours:
            sources = (source for source in ours if source is not alert and _may_be(rule.source, source))
            if any(_can_hide(rule, source, alert) for source in sources):
                yield alert


# -- one of ours hides another


def _hidden_by_ours(rule: _Rule, ours: Sequence[OurAlert]) -> Iterator[_Hidden]:
    sources: _Sources = {}
    for alert in ours:
        if _may_be(rule.source, alert):
            sources.setdefault(_key(rule, alert), {}).setdefault(_kind(rule, alert), alert)
    able: dict[tuple[object, ...], list[OurAlert]] = {}  # by the values that decide, which few alerts have alone
    for alert in ours:
        if not _may_be(rule.target, alert):
            continue
        key = _key(rule, alert)
        shape = (key, _values(rule, alert), alert.data_labels)
        if shape not in able:
            able[shape] = [source for source in _with_equal(sources, key) if _can_hide(rule, source, alert)]
        found = _worst(rule, able[shape], alert)
        if found is not None:
            yield found


def _worst(rule: _Rule, sources: Sequence[OurAlert], alert: OurAlert) -> _Hidden | None:
    """The source whose effect is a harm, an alert of another service if possible."""
    found = None
    for source in sources:
        lost = alert.rules - source.rules if alert.service == source.service else alert.rules
        if source is not alert and (lost or _says_something_else(rule, source, alert)):
            found = _Hidden(alert=alert, by=source, lost=tuple(sorted(lost)))
            if source.service != alert.service:
                break  # nothing shows the harm better
    return found


def _key(rule: _Rule, alert: OurAlert) -> _Key:
    return tuple(alert.fixed(label) for label in rule.equal)


def _kind(rule: _Rule, alert: OurAlert) -> tuple[object, ...]:
    """Everything about a source that the search looks at: sources of one kind hide the same alerts."""
    slo = "" if names.SERVICE in rule.equal else alert.labels.get(names.SLO)
    return (alert.service, slo, alert.rules, alert.data_labels, _values(rule, alert))


def _values(rule: _Rule, alert: OurAlert) -> _Key:
    return tuple(alert.fixed(matcher.label) for matcher in (*rule.source, *rule.target))


def _with_equal(sources: _Sources, key: _Key) -> Iterator[OurAlert]:
    """The sources whose known values of the `equal` labels are those of the target."""
    if None not in key:
        yield from sources.get(key, {}).values()
        return
    for other, alerts in sources.items():
        if all(one is None or two is None or one == two for one, two in zip(other, key, strict=True)):
            yield from alerts.values()


def _says_something_else(rule: _Rule, source: OurAlert, target: OurAlert) -> bool:
    """Whether nobody would miss the target only because the source fires.

    A rule that compares `service` is made for alerts of one service, and may hide one SLO's alert by another's.
    """
    if source.service != target.service:
        return True
    return source.labels.get(names.SLO) != target.labels.get(names.SLO) and names.SERVICE not in rule.equal


def _can_hide(rule: _Rule, source: OurAlert, target: OurAlert) -> bool:
    if _is_too(rule.source, target, source) and _is_too(rule.target, source, target):
        return False  # Alertmanager does not let two alerts hide each other
    labels = {matcher.label for matcher in (*rule.source, *rule.target)} | set(rule.equal)
    return all(_possible(rule, label, source, target) for label in labels)


def _possible(rule: _Rule, label: str, source: OurAlert, target: OurAlert) -> bool:
    """Whether the two alerts can have such values of a label."""
    of_source = [matcher for matcher in rule.source if matcher.label == label]
    of_target = [matcher for matcher in rule.target if matcher.label == label]
    open_values = {value for matcher in (*of_source, *of_target) for value in matcher.values} | {"", _ANY}
    one, two = source.fixed(label), target.fixed(label)
    firsts = {value for value in (open_values if one is None else {one}) if all(m.accepts(value) for m in of_source)}
    seconds = {value for value in (open_values if two is None else {two}) if all(m.accepts(value) for m in of_target)}
    may_differ = label in source.data_labels | target.data_labels or one is not None or two is not None
    if may_differ and label not in rule.equal:
        return bool(firsts) and bool(seconds)
    return not firsts.isdisjoint(seconds)


def _may_be(wanted: Matchers, alert: OurAlert) -> bool:
    return all((value := alert.fixed(one.label)) is None or one.accepts(value) for one in wanted)


def _is_too(wanted: Matchers, alert: OurAlert, other: OurAlert) -> bool:
    """Whether an alert matches, if the other one does. External labels are the same on both."""
    return all(
        _is_external(one.label, alert) and _is_external(one.label, other)
        if (value := alert.fixed(one.label)) is None
        else one.accepts(value)
        for one in wanted
    )


def _is_external(label: str, alert: OurAlert) -> bool:
    """Whether only `external_labels` can bring the label."""
    return alert.fixed(label) is None and label not in alert.data_labels


# -- another alert hides one of ours


def _hidden_by_others(rule: _Rule, ours: Sequence[OurAlert]) -> Iterator[_Hidden]:
    """Only alerts that the receiver acts on: to hide other alerts is what inhibitions are for."""
    if "alertname" in rule.equal:
        return  # only alerts of the same name could hide ours
    for alert in ours:
        awaited = alert.rules or alert.name == names.WATCHDOG
        if awaited and _may_be(rule.target, alert) and _other_can_hide(rule, alert):
            yield _Hidden(alert=alert, by=None, lost=tuple(sorted(alert.rules)))


def _other_can_hide(rule: _Rule, alert: OurAlert) -> bool:
    """Whether the labels that must be equal leave an alert that matches the source."""
    return all(
        one.accepts(value)
        for one in rule.source
        if one.label in rule.equal and (value := alert.fixed(one.label)) is not None
    )


# -- what people read


def _message(rule: _Rule, hidden: Sequence[_Hidden]) -> str:
    shown = [str(one.alert) + (f", while {one.by} fires" if one.by else "") for one in hidden[:_SHOWN]]
    more = f", and {len(hidden) - _SHOWN} more" if len(hidden) > _SHOWN else ""
    waiting = sorted({f"{rule} of {one.alert.service}" for one in hidden for rule in one.lost})
    rules = "the policy rule" if len(waiting) == 1 else "policy rules:"
    lost = f"; no freeze or other action begins by {rules} {', '.join(waiting[:_SHOWN])}" if waiting else ""
    kind = "this inhibition hides" if hidden[0].by else "while another alert fires, this inhibition hides"
    return f"{kind} {'; '.join(shown)}{more}{_condition(rule, hidden[0])}{lost}"


def _condition(rule: _Rule, hidden: _Hidden) -> str:
    """What must be so for labels that Freezeline does not set."""
    wanted = [(one, hidden.alert) for one in rule.target]
    if hidden.by:
        wanted += [(one, hidden.by) for one in rule.source]
    labels = {one.label for one, alert in wanted if _is_external(one.label, alert) and not one.accepts("")}
    return f" (only if `external_labels` set {', '.join(sorted(labels))})" if labels else ""


def _hint(hidden: Sequence[_Hidden]) -> str:
    alerts = "|".join(sorted({one.alert.name for one in hidden}))
    return f'add `- alertname!~"{alerts}"` to the rule\'s `target_matchers`'
