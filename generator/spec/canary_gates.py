"""Reads `canary.gates`: what is measured while a rollout goes on, and the bounds.

The key decides the kind of a measurement: `ratio`, `p50_of` … `p99_of`, `query`, or `source: push`.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import promql_parser as parser

from generator.conditions.quantile_of import QUANTILES
from generator.conditions.ratio import read_selector
from generator.model.canary_gate import (
    CanaryGate,
    Measure,
    PushedMeasure,
    QuantileMeasure,
    QueryMeasure,
    RatioMeasure,
)
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.lint import walk
from generator.reading.reader import Reader
from generator.sli.histogram import check_histogram_name, in_metric_unit, unit_of, unit_written
from generator.units import whole_ms

PLACEHOLDERS = frozenset({"$canary", "$stable"})
_PLACEHOLDER = re.compile(r"\$\w+")
_TIMES = re.compile(r"([0-9]+(?:\.[0-9]+)?)x")
_KEYS = ("ratio", *QUANTILES, "query")


def parse(reader: Reader, min_samples: int) -> tuple[CanaryGate, ...]:
    """The sound gates under `gates`, in the order of the spec. `min_samples` holds for gates without their own."""
    gates: dict[str, CanaryGate] = {}
    for inner in reader.readers("gates"):
        before = inner.problems.error_count
        gate = _parse_gate(inner, min_samples)
        if gate is None:
            continue
        if gate.id in gates:
            hint = f"write another `id:`; line {gates[gate.id].position.line} has this one"
            inner.fail("canary/duplicate-gate", f"two gates have the id {gate.id}", hint, key="id")
        elif inner.problems.error_count == before:
            gates[gate.id] = gate
    return tuple(gates.values())


def _parse_gate(reader: Reader, min_samples: int) -> CanaryGate | None:
    gate_id = reader.name("id")
    kinds = [key for key in _KEYS if reader.has(key)]
    if reader.choice("source", ("prometheus", "push"), "prometheus") == "push":
        kinds.insert(0, "source")
    if len(kinds) != 1:
        message = f"{reader.what} measures nothing" if not kinds else f"{reader.what} has {' and '.join(kinds)}"
        hint = f"write one of {', '.join(f'`{key}:`' for key in _KEYS)}, or `source: push`"
        reader.fail("canary/gate", message, hint, key=kinds[-1] if kinds else None)
        _skip(reader)
        return None
    measure, over_ms = _parse_measure(kinds[0], reader)
    op, value, at_most_times = _parse_bounds(reader, measure)
    unit = _unit(reader, measure)
    consecutive = reader.integer("consecutive", 1, at_least=1)
    gate = CanaryGate(
        id=gate_id,
        measure=measure,
        over_ms=over_ms,
        op=op,
        value=value,
        at_most_times=at_most_times,
        consecutive=consecutive,
        spaced_ms=reader.duration_ms("spaced", _spaced_ms(over_ms, consecutive), at_least=0),
        min_samples=reader.integer("min_samples", min_samples, at_least=1),
        on_breach=reader.choice("on_breach", ("abort", "hold"), "abort"),
        unit=unit,
        position=reader.position,
    )
    reader.finish()
    return gate


def _spaced_ms(over_ms: int, consecutive: int) -> int:
    """How far breaches lie apart where a full row spans a whole window: then no event is in all windows of the row."""
    return math.ceil(over_ms / (consecutive - 1)) if consecutive > 1 else 0


def _skip(reader: Reader) -> None:
    """Ask for every key: nobody knows what the keys mean here, and one problem is enough."""
    for key in reader.keys():  # noqa: SIM118 - a Reader is no mapping
        reader.has(key)


def _parse_measure(key: str, reader: Reader) -> tuple[Measure, int]:
    """The measurement, and the window of each value in milliseconds."""
    match key:
        case "ratio":
            return _parse_ratio(reader), reader.duration_ms("over")
        case "query":
            query = _read_query(reader, "query")
            _warn_of_division(reader, query)
            return QueryMeasure(query=query, samples=_read_samples(reader)), _longest_range_ms(query)
        case "source":
            return PushedMeasure(), 0
        case _:
            histogram = read_selector(reader, key)
            check_histogram_name(reader, key, histogram)
            _check_placeholders(reader, key, histogram.text)
            native = reader.boolean("native", False)
            measure = QuantileMeasure(histogram=histogram, quantile=QUANTILES[key], native=native)
            return measure, reader.duration_ms("over")


def _parse_ratio(reader: Reader) -> RatioMeasure:
    inner = reader.mapping("ratio", required=True)
    if inner is None:
        empty = promql.Selector(text="", metric="", matchers=())
        return RatioMeasure(counted=empty, total=empty, good=False)
    keys = [key for key in ("bad", "good") if inner.has(key)]
    if len(keys) != 1:
        inner.fail("canary/gate", f"{inner.what} needs exactly one of `bad` and `good`", "add `bad: …` or `good: …`")
    counted, total = read_selector(inner, keys[0] if keys else "bad"), read_selector(inner, "total")
    for key, selector in ((keys[0] if keys else "bad", counted), ("total", total)):
        _check_placeholders(inner, key, selector.text)
    inner.finish()
    return RatioMeasure(counted=counted, total=total, good=keys == ["good"])


def _parse_bounds(reader: Reader, measure: Measure) -> tuple[str, Decimal | None, Decimal | None]:
    """The comparison that must hold, its bound, and the bound as a multiple of the stable release's value."""
    found = [(key, *reader.bound(key)) for key in ("max", "min") if reader.has(key)]
    times = _parse_than(reader)
    if len(found) + (times is not None) != 1 and not reader.has("than"):
        hint = "add `max: 1%` or `min: 99%`"
        reader.fail("canary/gate", f"{reader.what} needs exactly one of `max` and `min`", hint)
    if len(found) != 1:
        return "<=", None, times
    key, value, written = found[0]
    if isinstance(measure, QuantileMeasure):
        value = in_metric_unit(value, written, measure.histogram.metric)
    _check_side(reader, measure, key, value)
    return ("<=" if key == "max" else ">="), value, times


def _unit(reader: Reader, measure: Measure) -> str:
    """The unit of a gate's values: by the kind of the measurement, or as the bound is written."""
    if isinstance(measure, RatioMeasure):
        return "ratio"
    written = next((found.text for key in ("max", "min") if (found := reader.value(key)) is not None), "")
    if isinstance(measure, QuantileMeasure):
        return unit_of(measure.histogram.metric, written)
    return unit_written(written)


def _check_side(reader: Reader, measure: Measure, key: str, value: Decimal) -> None:
    wanted = "min" if isinstance(measure, RatioMeasure) and measure.good else "max"
    if isinstance(measure, QueryMeasure | PushedMeasure):
        if reader.has("than") and (key == "min" or isinstance(measure, PushedMeasure)):
            hint = "remove `than`, or write `max:` beside a query"
            reader.fail("canary/than", f"{reader.what} cannot be compared with the stable release", hint, key="than")
        return
    if key != wanted:
        counts = "good events" if wanted == "min" else "bad events, or a latency"
        hint = f"write `{wanted}:` instead of `{key}:`"
        reader.fail("canary/gate", f"{reader.what} has `{key}`, but measures {counts}", hint, key=key)
    if isinstance(measure, RatioMeasure) and not 0 < value < 1:
        hint = "write a percentage above 0% and below 100%"
        reader.fail("canary/gate", f"{reader.what}: the bound is not a share of the events", hint, key=key)


def _parse_than(reader: Reader) -> Decimal | None:
    """`than: {track: $stable, at_most: 1.2x}`: the bound as a multiple of the stable release's value."""
    inner = reader.mapping("than")
    if inner is None:
        return None
    inner.choice("track", ("$stable",), "$stable")
    written = inner.text("at_most")
    inner.finish()
    found = _TIMES.fullmatch(written)
    if found is None or Decimal(found[1]) < 1:
        hint = "write `at_most: 1.2x`, a multiple of at least 1x"
        inner.fail("canary/than", f"{inner.what}.at_most is not a multiple of the stable release's value", hint)
        return Decimal(1)
    return Decimal(found[1])


def _read_samples(reader: Reader) -> str:
    """The query that counts the events behind a value; empty for `none`."""
    text = reader.text("samples", "none")
    if text == "none":
        return ""
    return _read_query(reader, "samples")


def _read_query(reader: Reader, key: str) -> str:
    query = reader.promql(key, Want.NUMBER)
    _check_placeholders(reader, key, query)
    return query


def _check_placeholders(reader: Reader, key: str, text: str) -> None:
    for word in dict.fromkeys(_PLACEHOLDER.findall(text)):
        if word not in PLACEHOLDERS:
            hint = f"use {' and '.join(sorted(PLACEHOLDERS))}, which stand for the two releases"
            reader.fail(
                "canary/placeholder",
                f"{reader.what}: the receiver does not know the placeholder {word}",
                hint,
                key=key,
            )


def _warn_of_division(reader: Reader, query: str) -> None:
    """Warn of `rate(bad) / rate(all)`. Without a bad event the result is empty, so a perfect release never passes."""
    if not query or faults(query, Want.NUMBER):
        return
    tree = promql.parse(query)
    while isinstance(tree, parser.ParenExpr):
        tree = tree.expr
    counters = [node for node in walk(tree) if isinstance(node, parser.Call) and node.func.name in ("rate", "increase")]
    if isinstance(tree, parser.BinaryExpr) and str(tree.op) == "/" and len(counters) >= 2:
        hint = "write `ratio: {bad: …, total: …}` and `over:`; a release without a single error then counts as 0 %"
        message = f"{reader.what}: a division of rates has no result while no bad event exists"
        reader.problems.add("canary/division", reader.at("query"), message, hint, warning=True)


def _longest_range_ms(query: str) -> int:
    """The longest range that a query reads: only after this time all of its data is from the new weight."""
    if not query or faults(query, Want.NUMBER):
        return 0
    nodes = walk(promql.parse(query))
    ranges = [node.range for node in nodes if isinstance(node, parser.MatrixSelector | parser.SubqueryExpr)]
    return max((whole_ms(one) for one in ranges if one is not None), default=0)
