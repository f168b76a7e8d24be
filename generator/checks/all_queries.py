"""Every query of a spec that Prometheus will evaluate: also those of rollouts, the gate and the end of a freeze."""

from __future__ import annotations

from collections.abc import Iterator

from freezeline.problems import Position
from generator.checks import queries
from generator.checks.queries import Query
from generator.model.canary_gate import Measure, PushedMeasure, QuantileMeasure, QueryMeasure, RatioMeasure
from generator.model.gate import QueryWithin
from generator.model.policy import QueryHolds
from generator.model.spec import Spec
from generator.promql.text import Selector


def _query(text: str, owner: tuple[str, str], position: Position) -> Query:
    return Query(role="query", source=text, owner=owner, place=position)


def of_spec(spec: Spec) -> Iterator[Query]:
    """Every query that Prometheus will evaluate for the spec, except those of dashboards."""
    for slo in spec.slos:
        yield from queries.of_slo(slo)
    for alert in spec.alerts:
        yield from queries.of_alert(alert)
    yield from others(spec)


def others(spec: Spec) -> Iterator[Query]:
    """Queries of a rollout, of the gate, and of the end of a freeze."""
    for gate in spec.canary.gates if spec.canary else ():
        for source in _parts_of_gate(gate.measure):
            yield Query(role="query", source=source, owner=("canary.gates", gate.id), place=gate.position)
    if spec.gate is not None:
        for check in spec.gate.checks:
            if isinstance(check.kind, QueryWithin):
                yield _query(check.kind.query, ("gate.checks", check.id), check.position)
    if spec.policy:
        for rule in spec.policy:
            for condition in rule.unfreeze.all_of:
                if isinstance(condition, QueryHolds):
                    yield _query(condition.query, ("policy", rule.id), condition.position)


def _parts_of_gate(measure: Measure) -> tuple[Selector | str, ...]:
    match measure:
        case RatioMeasure(counted=counted, total=total):
            return (counted, total)
        case QuantileMeasure(histogram=histogram):
            return (histogram,)
        case QueryMeasure(query=query, samples=samples):
            return (query, samples) if samples else (query,)
        case PushedMeasure():
            return ()
