"""Input series of the proofs: what each series does, stretch by stretch, in promtool's notation.

Every number of a counter is exact in binary and in decimal. promtool adds increments up one by one, and a counter that
lost its last bit would look like a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction

from msgspec import Struct

from generator.promql.text import matcher_text, series_text
from generator.units import decimal_text

COUNTER_START = 4096  # so that a counter's zero holds no rate back
_BITS_KEPT = 10


class Gauge(Struct, frozen=True, kw_only=True):
    """Holds a value."""

    value: Fraction


class Slope(Struct, frozen=True, kw_only=True):
    """A counter that grows by a number each second. `up` rounds the increments up instead of down."""

    per_s: Fraction
    up: bool = True


class Clock(Struct, frozen=True, kw_only=True):
    """A time stamp: the time of day less `behind_s` seconds."""

    behind_s: Fraction


class Toggle(Struct, frozen=True, kw_only=True):
    """Changes between 0 and 1 every `every` samples."""

    every: int


class Observed(Struct, frozen=True, kw_only=True):
    """A native histogram: observations per sample in each bucket, by index. `schema` is the buckets' width."""

    schema: int
    buckets: Mapping[int, int]


class Gone(Struct, frozen=True, kw_only=True):
    """A missing series."""


Signal = Gauge | Slope | Clock | Toggle | Observed | Gone


class Stretch(Struct, frozen=True, kw_only=True):
    """A signal for a number of samples."""

    samples: int
    signal: Signal


class InputSeries(Struct, frozen=True, kw_only=True):
    """One series of a test in promtool's notation: its name and its values."""

    name: str
    values: str


def series_name(metric: str, labels: Mapping[str, str]) -> str:
    """`metric{a="x"}`, labels sorted."""
    return series_text(metric, [matcher_text(name, "=", value) for name, value in sorted(labels.items())])


def exact(number: Fraction, *, up: bool) -> Fraction:
    """The nearest number above (or below) with at most ten binary digits."""
    if number.denominator & (number.denominator - 1) == 0:
        return number
    whole = max(abs(number.numerator) // number.denominator, 0)
    scale = 2 ** max(_BITS_KEPT - (whole.bit_length() if whole else -_leading_zeros(number)), 0)
    scaled = number * scale
    return Fraction(-(-scaled.numerator // scaled.denominator) if up else scaled.numerator // scaled.denominator, scale)


def _leading_zeros(number: Fraction) -> int:
    """The number of binary zeros between the point and the first one."""
    zeros, value = 0, abs(number)
    while 0 < value < Fraction(1, 2):
        value *= 2
        zeros += 1
    return zeros


def number_text(number: Fraction | int) -> str:
    """The number as a plain decimal: in full if exact in binary, else with the 17 digits of a float."""
    if number.denominator == 1:
        return str(number.numerator)
    with localcontext() as context:
        context.prec = 60 if number.denominator & (number.denominator - 1) == 0 else 17
        return decimal_text(Decimal(number.numerator) / Decimal(number.denominator))


def _plain(number: Fraction) -> Fraction | int:
    """Whole numbers as integers: most numbers are whole, and adding fractions takes twenty times as long."""
    return number.numerator if number.denominator == 1 else number


def values_text(stretches: Iterable[Stretch], sample_ms: int) -> str:
    """The values of one series over consecutive stretches; the first sample is at time 0."""
    writer = _Writer(sample_ms)
    for stretch in stretches:
        if stretch.samples > 0:
            writer.add(stretch)
    return " ".join(writer.parts)


class _Writer:
    """Keeps the counter and the sample number from one stretch to the next."""

    def __init__(self, sample_ms: int) -> None:
        self.sample_ms = sample_ms
        self.parts: list[str] = []
        self.counter: Fraction | int = COUNTER_START
        self.index = 0
        self.there = False  # whether the previous sample exists
        self.observations: dict[int, int] = {}

    def add(self, stretch: Stretch) -> None:
        """Append one stretch."""
        match stretch.signal:
            case Gone():
                self._gone(stretch.samples)
            case Gauge(value=value):
                self._run(value, 0, stretch.samples)
            case Slope(per_s=per_s, up=up):
                a_sample = Fraction(per_s.numerator * self.sample_ms, per_s.denominator * 1000)
                step = _plain(exact(a_sample, up=up))
                self._run(self.counter + step, step, stretch.samples)
                self.counter += step * stretch.samples
            case Clock(behind_s=behind_s):
                now_s = Fraction(self.index * self.sample_ms, 1000)
                self._run(exact(now_s - behind_s, up=False), Fraction(self.sample_ms, 1000), stretch.samples)
            case Toggle(every=every):
                self._toggle(every, stretch.samples)
            case Observed() as observed:
                self._observe(observed, stretch.samples)
        self.index += stretch.samples
        self.there = not isinstance(stretch.signal, Gone)

    def _gone(self, samples: int) -> None:
        if self.there:
            self.parts.append("stale")
            samples -= 1
        if samples > 0:
            self.parts.append(f"_x{samples}")

    def _run(self, start: Fraction | int, step: Fraction | int, samples: int) -> None:
        sign = "-" if step < 0 else "+"
        self.parts.append(f"{number_text(start)}{sign}{number_text(-step if step < 0 else step)}x{samples - 1}")

    def _toggle(self, every: int, samples: int) -> None:
        value = 1
        while samples > 0:
            count = min(every, samples)
            self._run(value, 0, count)
            value, samples = 1 - value, samples - count

    def _observe(self, observed: Observed, samples: int) -> None:
        for index in observed.buckets:
            self.observations.setdefault(index, 0)
        added = {index: observed.buckets.get(index, 0) for index in self.observations}
        first = {index: count + added[index] for index, count in self.observations.items()}
        self.parts.append(f"{_histogram(observed.schema, first)}+{_histogram(observed.schema, added)}x{samples - 1}")
        self.observations = {index: count + added[index] * samples for index, count in self.observations.items()}


def _histogram(schema: int, buckets: Mapping[int, int]) -> str:
    """A native histogram in promtool's notation. The sum of observations is invented, because no rule reads the sum."""
    lowest, count = min(buckets), sum(buckets.values())
    listed = " ".join(str(buckets.get(index, 0)) for index in range(lowest, max(buckets) + 1))
    return f"{{{{schema:{schema} count:{count} sum:{count} offset:{lowest} buckets:[{listed}]}}}}"


def bucket_index(value: Fraction, schema: int) -> int:
    """The native bucket of a positive value: its bounds are powers of 2^(2^-schema), the upper one included."""
    power, index = value ** (2**schema), 0
    while Fraction(2) ** index < power:
        index += 1
    while Fraction(2) ** (index - 1) >= power:
        index -= 1
    return index
