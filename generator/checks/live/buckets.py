"""Latency bounds against the buckets that exist."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from freezeline.problems import Problems
from generator.checks.live.api import Prometheus
from generator.checks.live.kinds import declared
from generator.model.spec import OutputSet, Slo
from generator.promql import text as promql
from generator.sli.histogram import HistogramBelow
from generator.units import decimal_text

CODES = ("live/bucket", "live/histogram-kind")


def check(output_set: OutputSet, prometheus: Prometheus, problems: Problems) -> None:
    """Report bounds between two buckets, and a classic histogram where the spec says native, or the reverse."""
    for spec in output_set.specs:
        for slo in spec.slos:
            if isinstance(slo.sli, HistogramBelow):
                _check(slo, slo.sli, prometheus, problems)


def _check(slo: Slo, sli: HistogramBelow, prometheus: Prometheus, problems: Problems) -> None:
    metric = sli.histogram.metric
    buckets = promql.with_metric(sli.histogram, f"{metric}_bucket")
    bounds = _bounds(prometheus.label_values("le", buckets))
    # A summary's quantiles have the bare name too; `kinds` reports summaries.
    native_exists = declared(metric, prometheus) in ("histogram", "") and prometheus.exists(sli.histogram.text)
    if sli.native and bounds and not native_exists:
        hint = f"remove `native: true`, or let Prometheus scrape {metric} as a native histogram"
        problems.add(
            "live/histogram-kind",
            slo.at("sli", "histogram"),
            f"slos.{slo.name}: {metric} is a classic histogram, not a native one",
            hint,
        )
    elif not sli.native and not bounds and native_exists:
        message = f"slos.{slo.name}: {metric} is a native histogram, not a classic one"
        problems.add("live/histogram-kind", slo.at("sli", "histogram"), message, "write `native: true`")
    elif not sli.native and bounds and sli.bound not in bounds:
        message = f"slos.{slo.name}: {metric} has no bucket at {decimal_text(sli.bound)} ({sli.bound_text})"
        near = " or ".join(f"`below: {decimal_text(bound)}`" for bound in _around(sli.bound, bounds))
        hint = f"write {near}: the nearest buckets"
        problems.add("live/bucket", slo.at("sli", "below"), message, hint)


def _bounds(values: list[str]) -> list[Decimal]:
    """The finite bucket bounds, sorted."""
    found = []
    for value in values:
        try:
            bound = Decimal(value)
        except InvalidOperation:
            continue
        if bound.is_finite():
            found.append(bound)
    return sorted(set(found))


def _around(bound: Decimal, bounds: list[Decimal]) -> list[Decimal]:
    below = [one for one in bounds if one < bound][-1:]
    above = [one for one in bounds if one > bound][:1]
    return below + above
