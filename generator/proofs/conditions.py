"""Input series for plain alerts: quiet and loud levels, and how soon a condition can see a breach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from msgspec import Struct

from generator.conditions.base import Condition
from generator.conditions.increase_of import ChangesOf, IncreaseOf
from generator.conditions.quantile_of import QuantileOf
from generator.conditions.ratio import Ratio
from generator.conditions.when import When
from generator.promql import text as promql
from generator.promql.text import Selector
from generator.proofs import realise, solve
from generator.proofs.labels import NoLabelsError
from generator.proofs.realise import Part
from generator.proofs.series import Gauge, InputSeries, Observed, Signal, Slope, Stretch, Toggle, bucket_index, exact
from generator.proofs.slis import UnprovableError
from generator.proofs.solve import UnsolvableError, beyond
from generator.units import decimal_text

QUIET, BELOW, ABOVE, FULL, SPIKE = "quiet", "0.9 ×", "1.1 ×", "full breach", "one bad scrape"
# Distance of a level from the threshold, if nothing better is known of a condition.
FACTORS = {QUIET: Fraction(1, 2), BELOW: Fraction(9, 10), ABOVE: Fraction(11, 10), FULL: Fraction(10)}
_TOLERATED = Fraction(9, 10)
_EVENTS_PER_S = 1000
_NATIVE_SCHEMA = 4

Signals = dict[Selector, Signal]


class Plan(Struct, frozen=True, kw_only=True):
    """How to drive one condition: signals for each level, and the times that follow from its ranges.

    If a range spreads one bad scrape out, `SPIKE` is among the levels, as large as the range tolerates. `full_ms` is
    the time until the condition sees a breach of the loudest signal. `window_ms` says how far the condition looks back.
    """

    levels: Mapping[str, Signals]
    window_ms: int
    full_ms: int

    @property
    def native(self) -> bool:
        """Whether the proof needs a promtool that knows native histograms."""
        return any(isinstance(signal, Observed) for signal in self.levels[QUIET].values())

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that the condition reads."""
        return frozenset(selector.metric for selector in self.levels[QUIET])

    def series(
        self, stretches: Sequence[tuple[int, str]], sample_ms: int, fixed: Mapping[str, str]
    ) -> list[InputSeries]:
        """The input series for (samples, level) one after the other. Raises UnprovableError."""
        parts = [
            Part(
                selector=selector,
                stretches=tuple(
                    Stretch(samples=samples, signal=self.levels[level][selector]) for samples, level in stretches
                ),
            )
            for selector in self.levels[QUIET]
        ]
        try:
            return realise.series(parts, sample_ms, fixed)
        except NoLabelsError as error:
            raise UnprovableError(str(error)) from error


def plan(condition: Condition, sample_ms: int) -> Plan:
    """How to drive the condition. Raises UnprovableError."""
    match condition:
        case Ratio():
            return _ratio(condition, sample_ms)
        case IncreaseOf():
            return _increase(condition, sample_ms)
        case ChangesOf():
            return _changes(condition, sample_ms)
        case QuantileOf():
            return _quantile(condition, sample_ms)
        case When():
            return _when(condition, sample_ms)
        case _:
            raise UnprovableError(f"conditions of type {condition.KIND} are not synthesised")


def by_labels(condition: Condition) -> dict[str, str]:
    """The labels that the condition keeps apart, with the values of the proof's series."""
    return dict.fromkeys(getattr(condition, "by", ()), "proof")


def _ratio(condition: Ratio, sample_ms: int) -> Plan:
    threshold = condition.threshold
    limit = Fraction(threshold.value)
    if threshold.op not in (">", ">="):
        raise UnprovableError("ratios that alert when they are low are not synthesised")
    if not 0 < limit < 1:
        raise UnprovableError(f"a ratio of {threshold.written} is never crossed")

    def level(share: Fraction, *, up: bool) -> Signals:
        bad = Slope(per_s=share * _EVENTS_PER_S, up=up)
        return {condition.total: Slope(per_s=Fraction(_EVENTS_PER_S)), condition.bad: bad}

    levels = {
        QUIET: level(Fraction(0), up=False),
        BELOW: level(limit * FACTORS[BELOW], up=False),
        ABOVE: level(min(limit * FACTORS[ABOVE], (1 + limit) / 2), up=True),
        FULL: level(Fraction(1), up=True),
        SPIKE: level(min(limit * _TOLERATED * condition.over_ms / sample_ms, Fraction(1)), up=False),
    }
    full_ms = max(int(limit * (condition.over_ms + sample_ms)) - sample_ms, 0)
    return Plan(levels=levels, window_ms=condition.over_ms, full_ms=full_ms)


def _increase(condition: IncreaseOf, sample_ms: int) -> Plan:
    threshold, over_ms = condition.threshold, condition.over_ms
    if threshold.op not in (">", ">="):
        raise UnprovableError("increases that alert when they are low are not synthesised")

    def level(factor: Fraction) -> Signals:
        wanted = beyond(threshold.op, Fraction(threshold.value), factor)
        return {condition.counter: Slope(per_s=wanted * 1000 / over_ms, up=factor > 1)}

    levels = {name: level(factor) for name, factor in FACTORS.items()}
    levels[QUIET] = {condition.counter: Slope(per_s=Fraction(0))}
    # `increase` stretches the seen increase over the whole range, which is up to one scrape longer.
    spike = Fraction(threshold.value) * _TOLERATED * (over_ms - sample_ms) / over_ms
    levels[SPIKE] = {condition.counter: Slope(per_s=spike * 1000 / sample_ms, up=False)}
    full_ms = int(over_ms / FACTORS[FULL]) if threshold.value else 0
    return Plan(levels=levels, window_ms=over_ms, full_ms=full_ms)


def _changes(condition: ChangesOf, sample_ms: int) -> Plan:
    threshold, over_ms = condition.threshold, condition.over_ms
    if threshold.op not in (">", ">=") or threshold.value <= 0:
        raise UnprovableError("changes that alert when they are few are not synthesised")
    least = int(threshold.value) + 1 if threshold.op == ">" else -(-threshold.value // 1)
    wanted = max(int(least), -(-int(least) * 11 // 10))
    # As many changes as fit, wherever the range begins; one change less at its edge.
    above = (over_ms - sample_ms) // (sample_ms * wanted)
    if above < 1:
        raise UnprovableError(f"{wanted} changes do not fit into the range at this scrape interval")
    quiet: Signal = Gauge(value=Fraction(1))
    below = quiet if least <= 1 else Toggle(every=-(-over_ms // (sample_ms * (int(least) - 1))))
    levels: dict[str, Signal] = {QUIET: quiet, BELOW: below, ABOVE: Toggle(every=above), FULL: Toggle(every=1)}
    if least > 2:
        levels[SPIKE] = Gauge(value=Fraction(0))  # There and back are two changes.
    signals: dict[str, Signals] = {name: {condition.series: signal} for name, signal in levels.items()}
    return Plan(levels=signals, window_ms=over_ms, full_ms=int(least) * sample_ms)


def _quantile(condition: QuantileOf, sample_ms: int) -> Plan:
    threshold = condition.threshold
    limit = Fraction(threshold.value)
    if limit <= 0:
        raise UnprovableError("quantiles of nothing are not synthesised")
    centres = {name: beyond(threshold.op, limit, factor) or limit / 100 for name, factor in FACTORS.items()}
    level = _native_level(condition, centres) if condition.native else _classic_level(condition, centres)
    levels = {name: level({name: Fraction(1)}) for name in FACTORS}
    share = 1 - Fraction(condition.quantile) if threshold.op in (">", ">=") else Fraction(condition.quantile)
    tolerated = exact(min(share * _TOLERATED * (condition.over_ms - sample_ms) / sample_ms, Fraction(1)), up=False)
    levels[SPIKE] = level({QUIET: 1 - tolerated, FULL: tolerated})
    full_ms = max(int(share * (condition.over_ms + sample_ms)) - sample_ms, 0)
    return Plan(levels=levels, window_ms=condition.over_ms, full_ms=full_ms)


# Signals for observations that fall in these shares around the values of some levels.
_Level = Callable[[Mapping[str, Fraction]], Signals]


def _classic_level(condition: QuantileOf, centres: Mapping[str, Fraction]) -> _Level:
    """Narrow buckets around the value of each level."""
    bounds = {
        name: (_short(centre * Fraction(99, 100)), _short(centre * Fraction(101, 100)))
        for name, centre in centres.items()
    }
    edges = sorted({edge for pair in bounds.values() for edge in pair})
    bucket = f"{condition.histogram.metric}_bucket"

    def level(shares: Mapping[str, Fraction]) -> Signals:
        signals: Signals = {}
        for edge, le in [*((edge, decimal_text(edge)) for edge in edges), (None, "+Inf")]:
            counted = sum(share for name, share in shares.items() if edge is None or edge >= bounds[name][1])
            selector = promql.selector(promql.with_metric(condition.histogram, bucket, f'le="{le}"'))
            signals[selector] = Slope(per_s=exact(Fraction(counted), up=False) * _EVENTS_PER_S)
        return signals

    return level


def _native_level(condition: QuantileOf, centres: Mapping[str, Fraction]) -> _Level:
    """The native bucket around the value of each level, narrow enough (4 %) to stay on its side of the threshold."""
    indexes = {name: bucket_index(centre, _NATIVE_SCHEMA) for name, centre in centres.items()}

    def level(shares: Mapping[str, Fraction]) -> Signals:
        buckets = dict.fromkeys(indexes.values(), 0)
        for name, share in shares.items():
            buckets[indexes[name]] += int(share * _EVENTS_PER_S)
        return {condition.histogram: Observed(schema=_NATIVE_SCHEMA, buckets=buckets)}

    return level


def _short(number: Fraction) -> Decimal:
    """Six digits are enough for the edge of a bucket."""
    exact = Decimal(number.numerator) / Decimal(number.denominator)
    return Context(prec=6, rounding=ROUND_HALF_EVEN).create_decimal(exact)


def _when(condition: When, sample_ms: int) -> Plan:
    try:
        comparisons = solve.comparisons(condition.query)
        demands = {}
        for name, factor in FACTORS.items():
            values = [comparison.beyond(factor) for comparison in comparisons]
            demands[name] = solve.comparison_demand(comparisons, values)
    except UnsolvableError as error:
        raise UnprovableError(str(error)) from error
    window_ms = demands[FULL].longest_range_ms
    levels = {name: demand.signals for name, demand in demands.items()}
    return Plan(levels=levels, window_ms=window_ms, full_ms=window_ms + sample_ms if window_ms else 0)
