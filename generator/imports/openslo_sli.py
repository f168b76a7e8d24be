"""OpenSLO's indicators as SLIs of Freezeline: ratios of events, raw ratios, thresholds, and time slices."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from generator.imports import queries, reserved
from generator.imports.base import ForeignReader, Found
from generator.imports.queries import Mapped, QueryError
from generator.imports.sloth import fail_query, warn_counts, warn_mapped, warn_unweighted
from generator.promql.text import WINDOW
from generator.reading.source import Value
from generator.text.yaml_text import Plain
from generator.units import decimal_text, parse_duration_ms

_OPS = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}
_QUERY_KEYS = ("query", "promql")


class Objective(Struct, frozen=True, kw_only=True):
    """One objective of an SLO. `percent` is the target; the fields of a slice are for time slices only."""

    percent: Decimal
    op: str
    value: Decimal | None
    slice_target: Decimal | None  # the share of a slice that must be good
    slice_window: str  # "" for occurrences
    averaged: bool  # the budget is the average of the slices' error ratios, and no slice as a whole is good or bad
    ratio: Value | None  # the objective as written, if the objective holds its own `ratioMetrics`
    reader: ForeignReader


class _Metric(Struct, frozen=True, kw_only=True):
    """One query, where it stands, and whether it is a counter."""

    text: str
    reader: ForeignReader
    key: str


def sli_of(indicator: Value, objective: Objective, sources: Mapping[str, str], found: Found) -> Mapped | None:
    """The SLI for one objective; None if it cannot be imported (reported)."""
    reader = ForeignReader(indicator, "indicator.spec", found.problems)
    threshold = reader.mapping("thresholdMetric") if objective.ratio is None else None
    ratio = reader.mapping(reader.first("ratioMetric", "ratioMetrics"))
    if objective.ratio is None:
        reader.has("description")
        reader.finish()
    if threshold is not None:
        metric = _metric(threshold, sources)
        return _threshold(metric, objective) if metric is not None else None
    if ratio is None:
        hint = "add `ratioMetric:` or `thresholdMetric:`"
        reader.fail("import/query", f"{reader.what} has no metric", hint)
        return None
    if ratio.has("raw"):
        return _raw(ratio, objective, sources, found)
    return _ratio(ratio, objective, sources)


def _metric(reader: ForeignReader, sources: Mapping[str, str]) -> _Metric | None:
    """The query of a Prometheus metric; None if it cannot be imported (reported)."""
    holder = _query_holder(reader, sources)
    if holder is None:
        return None
    key = holder.first(*_QUERY_KEYS)
    text = holder.text(key)
    holder.finish()
    if not text:
        return None
    try:
        return _Metric(text=queries.windowed(text), reader=holder, key=key)
    except QueryError as error:
        fail_query(holder, key, error)
        return None


def _query_holder(reader: ForeignReader, sources: Mapping[str, str]) -> ForeignReader | None:
    """The mapping that holds the query: each version of the format has its own place. None: reported."""
    if reader.has("query"):  # v1alpha
        reader.has("queryType")
        return reader if _is_prometheus(reader, "source", sources) else None
    if reader.has("dataSourceRef") or reader.has("dataSourceSpec"):  # v2alpha
        inline = reader.mapping("dataSourceSpec")
        fine = _is_prometheus(reader, "dataSourceRef", sources) if inline is None else _is_inline_prometheus(inline)
        holder = reader.mapping("spec", required=fine)
        reader.finish()
        return holder if fine else None
    source = reader.mapping("metricSource", required=True)
    reader.finish()
    if source is None:
        return None
    key = "type" if source.has("type") else "metricSourceRef"
    source.has("metricSourceRef")
    fine = _is_prometheus(source, key, sources)
    holder = source.mapping("spec", required=fine)
    source.finish()
    return holder if fine else None


def _is_inline_prometheus(inline: ForeignReader) -> bool:
    for key in ("description", "connectionDetails"):  # addresses and secrets stay where they are
        inline.has(key)
    fine = _is_prometheus(inline, "type", {})
    inline.finish()
    return fine


def _is_prometheus(reader: ForeignReader, key: str, sources: Mapping[str, str]) -> bool:
    """Whether the data source under the key is Prometheus, or one that these files do not describe."""
    named = reader.text(key, "")
    kind = named if key in ("type", "source") else sources.get(named, "")
    if kind.lower() in ("", "prometheus"):
        return True
    hint = "write the query in PromQL, with a data source of type Prometheus"
    reader.fail("import/query", f"the metric comes from {kind}, which Prometheus cannot ask", hint, key=key)
    return False


def _part(reader: ForeignReader, key: str, sources: Mapping[str, str]) -> _Metric | None:
    inner = reader.mapping(key)
    return _metric(inner, sources) if inner is not None else None


def _ratio(reader: ForeignReader, objective: Objective, sources: Mapping[str, str]) -> Mapped | None:
    """Good or bad events divided by all events."""
    is_counter = reader.boolean(reader.first("counter", "incremental"), True)
    key = "bad" if reader.has("bad") else "good"
    numerator, total = _part(reader, key, sources), _part(reader, "total", sources)
    if numerator is None or total is None:
        if not reader.failed:
            reader.fail(
                "import/query",
                f"{reader.what} needs `total`, and `good` or `bad`",
                "write `total` and one of `good` and `bad`",
            )
        return None
    reader.has("rawType")
    reader.finish()
    try:
        mapped = _events(numerator, total, bad=key == "bad", is_counter=is_counter)
    except QueryError as error:
        fail_query(total.reader, total.key, error)
        return None
    reserved.warn(total.reader, total.key, mapped.renamed)
    if objective.averaged:
        return _averaged(mapped, objective)
    if objective.slice_window:
        return _sliced(mapped, objective)
    warn_mapped(total.reader, total.key, mapped)
    if mapped.counts:
        warn_counts(total.reader, total.key)
    return mapped


def _events(numerator: _Metric, total: _Metric, *, bad: bool, is_counter: bool) -> Mapped:
    if not is_counter:
        # A gauge counts at one instant: its values are added up, as the method asks.
        parts = [f"sum_over_time(({metric.text})[{WINDOW}:1m])" for metric in (numerator, total)]
        return queries.as_ratio(parts[0], parts[1], bad=bad)
    counters = [queries.counted_counter(metric.text) for metric in (numerator, total)]
    if counters[0] is not None and counters[1] is not None:
        return queries.counted_events(counters[0], counters[1], bad=bad)
    texts = {"bad" if bad else "good": numerator.text, "total": total.text}
    return queries.events(any_range=True, **texts)


def _raw(reader: ForeignReader, objective: Objective, sources: Mapping[str, str], found: Found) -> Mapped | None:
    """A raw ratio of successes or of failures."""
    metric = _part(reader, "raw", sources)
    kind = reader.choice("rawType", ("success", "failure"))
    reader.has("counter")
    reader.finish()
    if metric is None:
        return None
    if objective.slice_window and not objective.averaged:
        error = metric.text if kind == "failure" else f"1 - ({metric.text})"
        return _slices_of(error, objective, _allowed(objective))
    mapped = queries.ratio(metric.text if kind == "failure" else f"1 - ({metric.text})")
    warn_mapped(metric.reader, metric.key, mapped)
    if "error_ratio" in mapped.sli:
        warn_unweighted(metric.reader, metric.key, found)
    return mapped


# -- slices of time, and thresholds


def _allowed(objective: Objective) -> Decimal:
    """The share of a slice that may be bad."""
    return Decimal(0) if objective.slice_target is None else 1 - objective.slice_target


def _sliced(mapped: Mapped, objective: Objective) -> Mapped | None:
    """A slice is good if its error ratio is small enough. A slice without events is good."""
    error = _slice_error(mapped, objective)
    sliced = _slices_of(error, objective, _allowed(objective)) if error else None
    return Mapped(sli=sliced.sli, group_by=mapped.group_by) if sliced is not None else None


def _averaged(mapped: Mapped, objective: Objective) -> Mapped | None:
    """The average of the error ratios of all slices, each slice with the same weight."""
    error, window = _slice_error(mapped, objective), _slice(objective)
    if not error or window is None:
        return None
    return Mapped(sli={"error_ratio": f"avg_over_time(({error})[{WINDOW}:{window}])"}, group_by=mapped.group_by)


def _slice_error(mapped: Mapped, objective: Objective) -> str:
    """The error ratio of one slice; empty if the SLI has none (reported)."""
    sli = mapped.sli
    by = f" by ({', '.join(mapped.group_by)}) " if mapped.group_by else ""
    window = objective.slice_window

    def rate(key: str) -> str:
        text = str(sli[key])
        return text.replace(WINDOW, window) if WINDOW in text else f"sum{by}(rate({text}[{window}]))"

    if "error_ratio" in sli:
        return rate("error_ratio")
    if "histogram" in sli:
        hint = "write `good` and `total` as counters, or `budgetingMethod: Occurrences`"
        message = "Freezeline cannot cut a histogram's ratio into time slices"
        objective.reader.fail("import/slices", message, hint)
        return ""
    share = f"{rate('bad' if 'bad' in sli else 'good')} / ({rate('total')} > 0)"
    return f"({share} or 0 * {rate('total')})" if "bad" in sli else f"(1 - {share} or 0 * {rate('total')})"


def _slices_of(error: str, objective: Objective, allowed: Decimal) -> Mapped | None:
    window = _slice(objective)
    if window is None:
        return None
    return Mapped(sli={"value": error, "max": allowed, "slice": window})


def _slice(objective: Objective) -> str | None:
    try:
        parse_duration_ms(objective.slice_window)
    except ValueError as error:
        objective.reader.fail(
            "import/slices",
            f"timeSliceWindow: {error}",
            "write a number with a unit, such as 1m, 5m or 1h",
            key="timeSliceWindow",
        )
        return None
    return objective.slice_window


def _threshold(metric: _Metric, objective: Objective) -> Mapped | None:
    """A value against a limit. With occurrences, each minute is one event; with time slices, each slice."""
    reader = objective.reader
    op = _OPS.get(objective.op)
    if op is None or objective.value is None:
        hint = "write `op: lte` (or lt, gte, gt) and `value: 0.5`"
        reader.fail("import/query", "a thresholdMetric needs `op` and `value`", hint)
        return None
    whole = objective.slice_target is None or objective.slice_target == 1
    if objective.slice_window and not whole:
        share = decimal_text(objective.slice_target or Decimal(1))
        hint = "write `timeSliceTarget: 1`, or `budgetingMethod: Occurrences`"
        message = f"Freezeline cannot express a slice of which only {share} must be good"
        reader.fail("import/slices", message, hint, key="timeSliceTarget")
        return None
    window = _slice(objective) if objective.slice_window else "1m"
    if window is None:
        return None
    sli: dict[str, Plain]
    if op in ("<=", ">="):
        sli = {"value": metric.text, "max" if op == "<=" else "min": objective.value, "slice": window}
    else:
        sli = {"good_when": f"({metric.text}) {op} {decimal_text(objective.value)}", "slice": window}
    return Mapped(sli=sli)
