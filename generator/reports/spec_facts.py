"""A spec as facts: (subject, name) → text. Specs with the same meaning have the same facts, whatever their form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from freezeline.problems import Position
from generator.model import policy
from generator.model.burn import Tier
from generator.model.spec import PlainAlert, Slo, Spec
from generator.promql import text as promql
from generator.promql.text import Selector
from generator.proofs import promises
from generator.reading.source import Value
from generator.reports.explain import unfreeze_text
from generator.units import decimal_text, duration_text, percent_text, promql_number

Fact = tuple[str, str]
_SILENT = ("position", "written", "bound_text")  # fields that say how a value is written, not what it means
_QUERIES = ("query", "expr", "bad", "good", "total", "error_ratio", "weight")  # fields whose texts are PromQL
_TITLES = ("id", "name", "title", "cause", "level")  # fields that tell the items of a list apart


def of(spec: Spec, scope: str) -> dict[Fact, str]:
    """Every fact of a spec; empty facts are left out."""
    found: dict[Fact, str] = {}
    for part in (_head(spec, scope), _slos(spec), _alerts(spec), _policy(spec), _sections(spec)):
        found.update((fact, text) for fact, text in part if text)
    return found


def _head(spec: Spec, scope: str) -> Iterator[tuple[Fact, str]]:
    yield ("spec", "name"), spec.name
    yield ("spec", "service"), spec.service
    yield ("spec", "scope"), scope
    for what in ("team", "slack", "email", "pagerduty"):
        yield ("owner", what), str(getattr(spec.owner, what))
    yield ("links", "runbook"), spec.defaults.runbook
    yield ("links", "grafana"), spec.defaults.grafana
    for name, value in spec.targets.items():
        yield ("targets", name), value


# -- SLOs


def _slos(spec: Spec) -> Iterator[tuple[Fact, str]]:
    for slo in spec.slos:
        subject = f"slo {slo.name}"
        yield (subject, "objective"), f"{decimal_text(slo.objective.normalize())} %"
        yield (subject, "window"), str(slo.profile.window)
        yield (subject, "sli"), sli_text(slo)
        yield (subject, "group by"), ", ".join(sorted(slo.group_by))
        yield (subject, "minimum of bad events"), str(slo.profile.min_events)
        shares = ", ".join(percent_text(share.normalize()) for share in slo.profile.consumed)
        yield (subject, "told of budget consumed"), shares
        yield (subject, "evaluated each"), duration_text(slo.profile.cadence.fast_ms)
        yield (subject, "base window"), duration_text(slo.profile.base_ms)
        yield (subject, "description"), slo.description
        yield (subject, "runbook"), slo.runbook
        for tier in slo.profile.tiers:
            yield from _tier(subject, slo, tier)


def _tier(subject: str, slo: Slo, tier: Tier) -> Iterator[tuple[Fact, str]]:
    """A tier is its windows, factor and severity; the threshold follows from the factor and the budget."""
    limit = promises.threshold(slo, tier)
    spans = f"{duration_text(tier.long_ms)} and {duration_text(tier.short_ms)}"
    share = percent_text(tier.share.normalize())
    yield (subject, f"tier {tier.name}"), f"{promql_number(tier.factor)} × budget ({share}) over {spans}"
    yield (subject, f"tier {tier.name} severity"), tier.severity
    ratio = (Decimal(limit.numerator) / Decimal(limit.denominator)).quantize(Decimal("0.0000001"))
    yield (subject, f"tier {tier.name} fires above"), f"{percent_text(ratio)} errors"


def sli_text(slo: Slo) -> str:
    """The SLI in one spelling."""
    return f"{slo.sli.KIND}: {plain(slo.sli)}"


# -- alerts and policy


def _alerts(spec: Spec) -> Iterator[tuple[Fact, str]]:
    for alert in spec.alerts:
        subject = f"alert {alert.name}"
        yield (subject, "condition"), one_spelling(alert.condition.breaches())
        yield (subject, "in a row"), str(alert.consecutive)
        yield (subject, "for"), duration_text(alert.for_ms)
        yield (subject, "evaluated each"), duration_text(alert.interval_ms)
        yield (subject, "severity"), alert.severity
        yield (subject, "team"), alert.team or spec.owner.team
        yield (subject, "promise"), "" if alert.within_ms is None else f"within {duration_text(alert.within_ms)}"
        for what in ("summary", "description", "runbook"):
            yield (subject, what), _text(alert, what)


def _text(alert: PlainAlert, what: str) -> str:
    return str(getattr(alert, what))


def _policy(spec: Spec) -> Iterator[tuple[Fact, str]]:
    for rule in spec.policy:
        subject = f"policy {rule.id}"
        wanted = sorted(policy.matchers(rule.on, spec.service))
        yield (subject, "on"), ", ".join(f"{label}={value}" for label, value in wanted)
        yield (subject, "does"), ", ".join(sorted(rule.do))
        yield (subject, "unfrozen when"), unfreeze_text(rule.unfreeze)
        ages = sorted({duration_text(condition.max_age_ms) for condition in rule.unfreeze.all_of})
        slos = sorted({str(getattr(condition, "slo", "")) for condition in rule.unfreeze.all_of})
        yield (subject, "unfreezing looks at"), ", ".join([*ages, *filter(None, slos)])
    for name, action in sorted(spec.actions.items()):
        kind = type(action).__name__.removesuffix("Action").lower()
        for path, text in flat(action):
            if path != "name":
                yield (f"action {name}", path), text
        yield (f"action {name}", "type"), kind


def _sections(spec: Spec) -> Iterator[tuple[Fact, str]]:
    sections = {
        "routing": spec.routing,
        "canary": spec.canary,
        "gate": spec.gate,
        "dashboard": spec.dashboard,
    }
    for subject, section in sections.items():
        if section is not None:
            yield (subject, "section"), "there"
            for path, text in flat(section):
                yield (subject, path), text


# -- any value as text


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a value: path → text. Fields that only say how a value is written are left out."""
    if _is_leaf(value):
        text = plain(value)
        if text:
            yield path, text
    elif isinstance(value, tuple) and all(_is_leaf(item) for item in value):
        yield path, ", ".join(plain(item) for item in value)
    else:
        for name, inner in _parts(value):
            yield from flat(inner, f"{path}.{name}" if path else name)


def _is_leaf(value: object) -> bool:
    if isinstance(value, Selector):
        return True
    return not isinstance(value, (Mapping, tuple)) and not _field_names(type(value))


def _field_names(kind: type) -> tuple[str, ...]:
    """The fields of a value class that carry meaning; none for any other type."""
    every = kind.__struct_fields__ if issubclass(kind, Struct) else ()
    return tuple(name for name in every if name not in _SILENT)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(name), value[name]) for name in sorted(value))
    elif isinstance(value, tuple) and all(_is_pair(item) for item in value):
        yield from sorted(value, key=lambda pair: str(pair[0]))  # such as matchers: their order has no meaning
    elif isinstance(value, tuple):
        for number, item in enumerate(value, start=1):
            titles = _TITLES if _field_names(type(item)) else ()
            named = [str(getattr(item, title)) for title in titles if getattr(item, title, None)]
            yield (named[0] if named else str(number)), item
    else:
        for name in _field_names(type(value)):
            inner = getattr(value, name)
            if not isinstance(inner, (Position, Value)):
                yield name.removesuffix("_ms"), _of_field(name, inner)


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _of_field(name: str, value: object) -> object:
    if name.endswith("_ms") and isinstance(value, int):
        return duration_text(value)
    return one_spelling(value) if name in _QUERIES and isinstance(value, str) else value


def plain(value: object) -> str:
    """A value in one spelling, however the spec writes the value."""
    match value:
        case Selector():
            return promql.series_text(value.metric, sorted(promql.matcher_text(*one) for one in value.matchers))
        case bool():
            return "yes" if value else ""
        case Decimal():
            return decimal_text(value.normalize())
        case Fraction():
            return promql_number(value)
        case str():
            return value
        case None:
            return ""
        case _ if not _is_leaf(value):
            return ", ".join(f"{path} {text}" for path, text in flat(value))
        case _:
            return str(value)


def one_spelling(text: str) -> str:
    """PromQL as its parser prints it: spaces, line breaks and comments do not count."""
    try:
        return " ".join(promql.parse(text).prettify().split())
    except ValueError:
        return text
