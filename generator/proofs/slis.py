"""Traffic for an SLI: series that give a wanted number of events and bad events, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from msgspec import Struct

from generator.model.spec import Slo
from generator.promql import text as promql
from generator.promql.text import Selector
from generator.proofs import labels, realise, solve
from generator.proofs.labels import NoLabelsError
from generator.proofs.realise import Part
from generator.proofs.series import Gone, InputSeries, Observed, Signal, Slope, Stretch, bucket_index
from generator.proofs.solve import UnsolvableError
from generator.sli.bad_total import BadTotal
from generator.sli.error_ratio import ErrorRatio
from generator.sli.good_total import GoodTotal
from generator.sli.histogram import HistogramBelow
from generator.sli.time_slices import TimeSlices
from generator.units import decimal_text, duration_text

GROUP_VALUE = "proof"


class UnprovableError(Exception):
    """No input series can be made for this part of a spec. The message says why."""


class Flow(Struct, frozen=True, kw_only=True):
    """Traffic over some samples: events per sample, and how many are bad. If `total` is None, no series exists."""

    samples: int
    total: int | None
    bad: int = 0


def counts_events(slo: Slo) -> bool:
    """Whether the SLI counts events rather than time."""
    sli = slo.sli
    return not isinstance(sli, TimeSlices) and not (isinstance(sli, ErrorRatio) and sli.weight is None)


def slice_ms(slo: Slo) -> int:
    """The unit of an SLI that counts time: its slice, or a second."""
    return slo.sli.slice_ms if isinstance(slo.sli, TimeSlices) else 1000


def sliced(slo: Slo) -> bool:
    """Whether the SLI counts slices of time, each of which is good or bad."""
    return isinstance(slo.sli, TimeSlices)


def errors_can_be_missing(slo: Slo) -> bool:
    """Whether a series exists only after a first error."""
    sli = slo.sli
    if isinstance(sli, GoodTotal):
        return (
            isinstance(sli.good, Selector) and isinstance(sli.total, Selector) and sli.good.metric == sli.total.metric
        )
    return isinstance(sli, BadTotal)


def series(slo: Slo, flows: Sequence[Flow], sample_ms: int, *, error_series: bool = True) -> list[InputSeries]:
    """The input series of one SLO, without series of errors if not `error_series`. Raises UnprovableError."""
    try:
        parts = _parts(slo, flows, sample_ms)
        if not error_series:
            parts = _without_errors(slo, parts)
        sources = _sources(slo)
        fixed = {sources.get(label, label): value for label, value in groups(slo).items()}
        return realise.series(parts, sample_ms, fixed)
    except (NoLabelsError, UnsolvableError) as error:
        raise UnprovableError(str(error)) from error


def groups(slo: Slo) -> dict[str, str]:
    """The labels of the group whose series are made. Raises UnprovableError."""
    if not slo.group_by:
        return {}
    try:
        parts = _parts(slo, [Flow(samples=1, total=1)], 1000)
        sources = _sources(slo)
        names = [sources.get(name, name) for name in slo.group_by]
        matchers = tuple(m for part in parts for m in part.selector.matchers if m[0] in names)
        everywhere = Selector(text=f"{slo.name}, grouped", metric="", matchers=matchers)
        found = labels.selected(everywhere, dict.fromkeys(names, GROUP_VALUE))
    except (NoLabelsError, UnsolvableError) as error:
        raise UnprovableError(str(error)) from error
    return {name: found.get(sources.get(name, name), "") for name in slo.group_by}


def _sources(slo: Slo) -> dict[str, str]:
    """Each label that the SLI's queries copy from another label of the series: copy → original."""
    texts = (getattr(slo.sli, key, None) for key in ("bad", "good", "total", "error_ratio", "weight"))
    found: dict[str, str] = {}
    for text in texts:
        if isinstance(text, str) and "label_replace" in text:
            found |= solve.copies(promql.over(text, "5m"))
    return found


def metrics(slo: Slo) -> frozenset[str]:
    """The metrics that the SLI reads. Raises UnprovableError."""
    try:
        parts = _parts(slo, [Flow(samples=1, total=1)], 1000)
    except UnsolvableError as error:
        raise UnprovableError(str(error)) from error
    return frozenset(part.selector.metric for part in parts)


def _parts(slo: Slo, flows: Sequence[Flow], sample_ms: int) -> list[Part]:
    sli, base_ms = slo.sli, slo.profile.base_ms
    match sli:
        case BadTotal(bad=bad, total=total):
            return _counters(total, bad, flows, sample_ms, base_ms, count=lambda flow: flow.bad)
        case GoodTotal(good=good, total=total):
            return _counters(total, good, flows, sample_ms, base_ms, count=lambda flow: (flow.total or 0) - flow.bad)
        case HistogramBelow(native=True):
            return [_native(sli, flows)]
        case HistogramBelow():
            return _classic(sli, flows, sample_ms)
        case ErrorRatio():
            return _ratio(sli, flows, sample_ms, base_ms)
        case TimeSlices():
            return _slices(sli, flows)
        case _:
            raise UnprovableError(f"SLIs of type {sli.KIND} are not synthesised")


def _without_errors(slo: Slo, parts: list[Part]) -> list[Part]:
    """The parts without the series of bad events. For good/total, that is the rest of the metric, without events."""
    if isinstance(slo.sli, GoodTotal):
        return [parts[1]]
    gone = tuple(Stretch(samples=stretch.samples, signal=Gone()) for stretch in parts[1].stretches)
    return [parts[0], Part(selector=parts[1].selector, stretches=gone)]


def _stretches(flows: Sequence[Flow], sample_ms: int, count: Callable[[Flow], int]) -> tuple[Stretch, ...]:
    """A counter that counts some events of each flow."""
    return tuple(
        Stretch(
            samples=flow.samples,
            signal=Gone() if flow.total is None else Slope(per_s=Fraction(count(flow) * 1000, sample_ms)),
        )
        for flow in flows
    )


def _counters(
    whole: Selector | str,
    part: Selector | str,
    flows: Sequence[Flow],
    sample_ms: int,
    base_ms: int,
    *,
    count: Callable[[Flow], int],
) -> list[Part]:
    """The counter of all events first, then the counter of some of these events."""
    parts = []
    for source, counted in ((whole, lambda flow: flow.total or 0), (part, count)):
        if isinstance(source, Selector):
            parts.append(Part(selector=source, stretches=_stretches(flows, sample_ms, counted)))
        else:
            per_s = [_per_s(flow, counted(flow), sample_ms) for flow in flows]
            parts += _solved(source, base_ms, flows, per_s)
    return parts


def _per_s(flow: Flow, count: int, sample_ms: int) -> Fraction | None:
    return None if flow.total is None else Fraction(count * 1000, sample_ms)


def _solved(query: str, base_ms: int, flows: Sequence[Flow], wanted: Sequence[Fraction | None]) -> list[Part]:
    """Series that give a query with `$window` its wanted values. For None, no series exists."""
    text = promql.over(query, duration_text(base_ms))
    demands = [solve.value(text, Fraction(0) if value is None else value).signals for value in wanted]
    parts = []
    for selector in demands[0]:
        signals: list[Signal] = [
            Gone() if value is None else demand[selector] for demand, value in zip(demands, wanted, strict=True)
        ]
        stretches = tuple(
            Stretch(samples=flow.samples, signal=signal) for flow, signal in zip(flows, signals, strict=True)
        )
        parts.append(Part(selector=selector, stretches=stretches))
    return parts


def _classic(sli: HistogramBelow, flows: Sequence[Flow], sample_ms: int) -> list[Part]:
    found, bound = sli.histogram, decimal_text(sli.bound)

    def part(metric: str, count: Callable[[Flow], int], *extra: str) -> Part:
        selector = promql.selector(promql.with_metric(found, metric, *extra))
        return Part(selector=selector, stretches=_stretches(flows, sample_ms, count))

    return [
        part(f"{found.metric}_count", lambda flow: flow.total or 0),
        part(f"{found.metric}_bucket", lambda flow: (flow.total or 0) - flow.bad, f'le="{bound}"'),
        part(f"{found.metric}_bucket", lambda flow: flow.total or 0, 'le="+Inf"'),
    ]


def is_native(slo: Slo) -> bool:
    """Whether the proofs need a promtool that knows native histograms."""
    return isinstance(slo.sli, HistogramBelow) and slo.sli.native


def _native(sli: HistogramBelow, flows: Sequence[Flow]) -> Part:
    """Good observations fall into a bucket well below the bound, bad ones into a bucket well above."""
    bound = Fraction(sli.bound)
    good, bad = bucket_index(bound / 4, 0), bucket_index(bound * 4, 0)
    stretches = tuple(
        Stretch(
            samples=flow.samples,
            signal=Gone()
            if flow.total is None
            else Observed(schema=0, buckets={good: flow.total - flow.bad, bad: flow.bad}),
        )
        for flow in flows
    )
    return Part(selector=sli.histogram, stretches=stretches)


def _ratio(sli: ErrorRatio, flows: Sequence[Flow], sample_ms: int, base_ms: int) -> list[Part]:
    sides = sli.sides
    if sides is not None and sli.counts_apart:
        success = sides.success
        return _counters(
            sides.denominator,
            sides.numerator,
            flows,
            sample_ms,
            base_ms,
            count=lambda flow: (flow.total or 0) - flow.bad if success else flow.bad,
        )
    ratios = [Fraction(flow.bad, flow.total) if flow.total else None for flow in flows]
    parts = _solved(sli.error_ratio, base_ms, flows, ratios)
    if sli.weight is not None:
        weights = [_per_s(flow, flow.total or 0, sample_ms) for flow in flows]
        parts += _solved(sli.weight, base_ms, flows, weights)
    merged: dict[Selector, Part] = {}
    for part in parts:
        if merged.setdefault(part.selector, part) != part:
            raise UnsolvableError(f"{part.selector.text} stands in the ratio and in the weight")
    return list(merged.values())


def _slices(sli: TimeSlices, flows: Sequence[Flow]) -> list[Part]:
    """A value far on the good side, or far on the bad side."""
    comparisons = solve.comparisons(sli.good)
    demands = {}
    for good in (True, False):
        factor = Fraction(2) if good else Fraction(0)
        values = [comparison.beyond(factor) for comparison in comparisons]
        demand = solve.comparison_demand(comparisons, values)
        if demand.longest_range_ms > sli.slice_ms:
            raise UnsolvableError(f"the query looks back {duration_text(demand.longest_range_ms)}, beyond its slice")
        demands[good] = demand.signals
    parts = []
    for selector in demands[True]:
        stretches = tuple(
            Stretch(
                samples=flow.samples,
                signal=Gone() if flow.total is None else demands[2 * flow.bad <= flow.total][selector],
            )
            for flow in flows
        )
        parts.append(Part(selector=selector, stretches=stretches))
    return parts
