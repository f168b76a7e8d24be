"""What specs cost in Prometheus: rules, recorded series, and samples read per minute. A pure calculation.

An instant selector reads one sample of each series that it finds; a range reads each sample inside. A subquery reads
the samples of its inner query at each step. Samples are therefore series × range / interval, summed over an expression
and multiplied by the evaluations per minute.

Prometheus' own count (`totalQueryableSamples` of `stats=all`) counts only the points that a subquery returns, however
many samples lie behind them: `counted` is this number. The model takes windows to be full and free of gaps. A native
histogram counts as one sample; Prometheus weighs it by its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

import promql_parser as parser
from msgspec import Struct, field

from generator import names
from generator.model.spec import OutputSet, Slo, Spec
from generator.promql import text as promql
from generator.promql.lint import walk
from generator.render.rules import rules, self_rules, shared
from generator.render.rules.rule_file import Rule, RuleFile
from generator.reports.cost_series import Catalog, Matched, is_rare
from generator.units import MINUTE

SUBQUERY_STEP_MS = MINUTE  # Prometheus' default evaluation interval, for a subquery that names none

Resolve = Callable[[parser.VectorSelector], Iterable[Matched]]


class Read(Struct, frozen=True, kw_only=True):
    """One evaluation of an expression: the samples read, those that Prometheus counts, and the resulting series."""

    samples: float = 0.0
    counted: float = 0.0
    series: float = 0.0


def read(tree: parser.Expr, resolve: Resolve, groups: float) -> Read:
    """One evaluation at one instant. `resolve` finds a selector's series; `groups`: the number of groups of `by`."""
    match tree:
        case parser.VectorSelector():
            found = sum(matched.series for matched in resolve(tree))
            return Read(samples=found, counted=found, series=found)
        case parser.MatrixSelector():
            return _range(tree, resolve)
        case parser.SubqueryExpr():
            inner = read(tree.expr, resolve, groups)
            steps = _ms(tree.range) / (_ms(tree.step) or SUBQUERY_STEP_MS)
            return Read(samples=steps * inner.samples, counted=steps * inner.series, series=inner.series)
        case parser.AggregateExpr():
            inner = read(tree.expr, resolve, groups)
            return Read(samples=inner.samples, counted=inner.counted, series=_aggregated(tree, inner.series, groups))
        case parser.Call():
            inside = [read(argument, resolve, groups) for argument in tree.args]
            series = max((one.series for one in inside), default=0.0) or 1.0  # vector(1), time()
            return _all(inside, series)
        case parser.BinaryExpr():
            left, right = read(tree.lhs, resolve, groups), read(tree.rhs, resolve, groups)
            series = max(left.series, right.series) if str(tree.op).split()[0] == "or" else left.series or right.series
            return _all([left, right], series)
        case parser.ParenExpr() | parser.UnaryExpr():
            return read(tree.expr, resolve, groups)
        case _:
            return Read()


def _range(tree: parser.MatrixSelector, resolve: Resolve) -> Read:
    matched = list(resolve(tree.vector_selector))
    samples = sum(one.series * _ms(tree.range) / one.interval_ms for one in matched)
    return Read(samples=samples, counted=samples, series=sum(one.series for one in matched))


def _aggregated(tree: parser.AggregateExpr, series: float, groups: float) -> float:
    modifier = tree.modifier
    if modifier is not None and modifier.type == parser.AggModifierType.Without:
        return series
    return min(series, groups if modifier is not None and modifier.labels else 1.0)


def _all(inside: Iterable[Read], series: float) -> Read:
    found = Read()
    for one in inside:
        found = Read(samples=found.samples + one.samples, counted=found.counted + one.counted)
    return Read(samples=found.samples, counted=found.counted, series=series)


def _ms(span: timedelta | None) -> float:
    return 0.0 if span is None else span / timedelta(milliseconds=1)


# -- rules of a set


class RuleCost(Struct, frozen=True, kw_only=True):
    """One rule. `owner` is `slo service/name`, `alert service/name`, `shared PROFILE` or `self`."""

    owner: str
    name: str
    labels: Mapping[str, str]
    expr: str
    per_minute: float
    samples: float  # samples that one evaluation reads
    counted: float  # samples of one evaluation as Prometheus counts them
    series: float  # series that the rule records; 0 for an alert


class Total(Struct, frozen=True, kw_only=True):
    """Rules, recorded series, and samples read per minute."""

    rules: float = 0
    series: float = 0
    samples_per_minute: float = 0

    def plus(self, rule: RuleCost) -> Total:
        """This total with one more rule."""
        return Total(
            rules=self.rules + 1,
            series=self.series + rule.series,
            samples_per_minute=self.samples_per_minute + rule.samples * rule.per_minute,
        )


class Assumptions(Struct, frozen=True, kw_only=True):
    """Numbers that only a running Prometheus knows: series of each raw selector, and groups of a grouped SLO."""

    series: float = 10
    by_selector: Mapping[str, float] = field(default_factory=dict)  # selector or metric → series
    groups: float = 10


def rule_costs(output_set: OutputSet, assumed: Assumptions) -> Iterator[RuleCost]:
    """Every rule of a set, with the samples that one evaluation reads."""
    catalog = Catalog(output_set, assumed.groups)
    for spec in output_set.specs:
        owners = {slo.position: (f"slo {spec.service}/{slo.name}", group_count(slo, assumed)) for slo in spec.slos}
        owners |= {alert.position: (f"alert {spec.service}/{alert.name}", assumed.groups) for alert in spec.alerts}
        # Rules without an owner repair the gaps of all SLOs.
        repair = (f"repair {spec.service}", 1.0)
        resolve = resolver(catalog, assumed, spec.defaults.scrape_ms)
        for group in rules.render(spec, output_set.scope).groups:
            for rule in group.rules:
                owner, groups = owners.get(rule.origin, repair) if rule.origin is not None else repair
                yield _cost(rule, group.interval_ms, owner=owner, once=read(promql.parse(rule.expr), resolve, groups))
    for profile in output_set.profiles().values():
        resolve = resolver(catalog, assumed, MINUTE)
        yield from _group_costs(shared.render(profile, output_set.scope), f"shared {profile.name}", resolve)
    resolve = resolver(catalog, Assumptions(series=1), MINUTE)
    yield from _group_costs(
        self_rules.render(output_set.scope, acts=any(spec.policy for spec in output_set.specs)), "self", resolve
    )


def group_count(slo: Slo, assumed: Assumptions) -> float:
    """How many groups an SLO has."""
    return assumed.groups if slo.group_by else 1.0


def _group_costs(file: RuleFile, owner: str, resolve: Resolve) -> Iterator[RuleCost]:
    for group in file.groups:
        for rule in group.rules:
            yield _cost(rule, group.interval_ms, owner=owner, once=read(promql.parse(rule.expr), resolve, 1.0))


def _cost(rule: Rule, interval_ms: int, *, owner: str, once: Read) -> RuleCost:
    # The rules write repaired rollups only if there are gaps, and births only if there are any.
    rare = is_rare(rule.name) or (names.REPAIR in rule.labels and f":{names.MISSING}" not in rule.name)
    return RuleCost(
        owner=owner,
        name=rule.name,
        labels=rule.labels,
        expr=rule.expr,
        per_minute=MINUTE / interval_ms,
        samples=once.samples,
        counted=once.counted,
        series=once.series if rule.record and not rare else 0,
    )


def resolver(catalog: Catalog, assumed: Assumptions, scrape_ms: int) -> Resolve:
    """The series that selectors find: recorded series from the catalog, raw series as assumed."""

    def resolve(tree: parser.VectorSelector) -> Iterable[Matched]:
        metric = promql.metric(tree)
        matchers = tuple(promql.matchers(tree))
        if metric in catalog.metrics:
            return catalog.find(metric, matchers)
        text = selector_text(metric, matchers)
        series = assumed.by_selector.get(text, assumed.by_selector.get(metric, assumed.series))
        return (Matched(series=series, interval_ms=scrape_ms),)

    return resolve


def selector_text(metric: str, matchers: Iterable[tuple[str, str, str]]) -> str:
    """A raw selector in one spelling, with sorted matchers: the key of `Assumptions.by_selector`."""
    return promql.series_text(metric, sorted(promql.matcher_text(*matcher) for matcher in matchers))


def raw_selectors(output_set: OutputSet) -> tuple[str, ...]:
    """Every selector of raw series in the rules of a set, in one spelling."""
    catalog = Catalog(output_set, 1)
    found: dict[str, None] = {}
    for spec in output_set.specs:
        for group in rules.render(spec, output_set.scope).groups:
            for rule in group.rules:
                for node in walk(promql.parse(rule.expr)):
                    if isinstance(node, parser.VectorSelector) and promql.metric(node) not in catalog.metrics:
                        found[selector_text(promql.metric(node), promql.matchers(node))] = None
    return tuple(found)


def totals(costs: Iterable[RuleCost]) -> dict[str, Total]:
    """Totals by owner, in order; the sum of all has an empty name."""
    found: dict[str, Total] = {}
    everything = Total()
    for cost in costs:
        found[cost.owner] = found.get(cost.owner, Total()).plus(cost)
        everything = everything.plus(cost)
    found[""] = everything
    return found


# -- shares


def spread(found: Mapping[str, Total], output_set: OutputSet) -> dict[str, Total]:
    """Each SLO with its share of the rules of its profile and of its spec's gap repair."""
    shares: dict[str, Total] = {}
    members: dict[str, int] = {}
    for spec in output_set.specs:
        for slo in spec.slos:
            for key in _shared_keys(spec, slo):
                members[key] = members.get(key, 0) + 1
    for spec in output_set.specs:
        for slo in spec.slos:
            name = f"slo {spec.service}/{slo.name}"
            total = found.get(name, Total())
            for key in _shared_keys(spec, slo):
                part, count = found.get(key, Total()), members[key]
                total = Total(
                    rules=total.rules + part.rules / count,
                    series=total.series + part.series / count,
                    samples_per_minute=total.samples_per_minute + part.samples_per_minute / count,
                )
            shares[name] = total
    return shares


def _shared_keys(spec: Spec, slo: Slo) -> tuple[str, ...]:
    return (f"shared {slo.profile.name}", f"repair {spec.service}")
