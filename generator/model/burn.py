"""Burn-rate tiers, and the profiles that shared rules serve: pure arithmetic on exact numbers.

A tier fires if `share` of the budget burns within the long window, and the budget still burns in the short window. In
both windows, error ratio > factor × budget, with factor = share × SLO window / long window. (Google, The Site
Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".)
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache

from msgspec import Struct

from generator import names
from generator.text.digest import digest
from generator.units import DAY, HOUR, MINUTE, SECOND, decimal_text, duration_text

BASE_WINDOW_MS = 5 * MINUTE
ROLLUP_MS = 5 * MINUTE
SLOW_MS = 150 * SECOND
GAP_MS = 2 * HOUR
GAP_SPAN_MS = DAY
GAP_LOOK_MS = 3 * HOUR
LONG_GAP_MS = 6 * HOUR
LONG_GAP_SPAN_MS = 4 * DAY
SUM_MS = 15 * MINUTE
ROLLED_UP_FROM_MS = 6 * HOUR  # windows of at least this length are computed from rollups
SUMMED_FROM_MS = 3 * DAY  # windows of at least this length are read as a whole only once per `sum_ms`
REPAIRED_FROM_MS = 3 * DAY  # SLO windows of at least this length have their gaps repaired
LONG_REPAIRED_FROM_MS = 7 * DAY  # and from this length on, gaps of more than a day
REFERENCE_WINDOW_MS = 30 * DAY
SHORT_PER_LONG = 12
ADJACENT_MAX = 15  # base windows that a page's window may be made of; longer windows are averages
MIN_EVENTS = 5
CONSUMED = (Decimal("0.5"), Decimal(1))

_PLAIN_MS = tuple(
    sorted(
        {count * SECOND for count in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 45)}
        | {count * MINUTE for count in (1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 45, 90)}
        | {count * HOUR for count in (1, 2, 3, 4, 6, 8, 9, 12, 18)}
        | {count * DAY for count in (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15, 18, 21, 28, 30, 45, 60, 90)}
    )
)


class Tier(Struct, frozen=True, kw_only=True):
    """One burn-rate tier, which fires once `share` of the budget burns within `long_ms`."""

    name: str
    share: Decimal
    long_ms: int
    short_ms: int
    factor: Fraction
    severity: str

    def __hash__(self) -> int:
        """Without the numbers: hashing a fraction would dominate the time."""
        return hash((self.name, self.long_ms, self.short_ms, self.severity))

    @property
    def pages(self) -> bool:
        """Whether the tier belongs to the fast group: it wakes somebody, so detection must not be late."""
        return self.severity == "critical"


class Cadence(Struct, frozen=True, kw_only=True):
    """The evaluation intervals of a profile's groups; the constants in the rules follow from them.

    `aligned` marks a build for `promtool test rules`, which evaluates every group at the same instants. There, a range
    of N intervals holds N + 1 samples on Prometheus 2 and N on Prometheus 3. Ranges that are summed are half an
    interval shorter, and hold exactly N samples on both.
    """

    fast_ms: int
    rollup_ms: int
    slow_ms: int
    sum_ms: int
    gap_ms: int
    gap_span_ms: int = GAP_SPAN_MS  # how far back gap repair looks; a gap can be nearly as long
    gap_look_ms: int = GAP_LOOK_MS  # a gap this recent is repaired, however small
    long_gap_ms: int = LONG_GAP_MS
    long_gap_span_ms: int = LONG_GAP_SPAN_MS  # for gaps of more than a day
    aligned: bool = False

    @classmethod
    def even(cls, each_ms: int, *, aligned: bool) -> Cadence:
        """All groups at one interval."""
        return cls(fast_ms=each_ms, rollup_ms=each_ms, slow_ms=each_ms, sum_ms=each_ms, gap_ms=each_ms, aligned=aligned)

    def summed_range(self, span_ms: int, interval_ms: int) -> str:
        """The range, as PromQL, that holds span/interval samples of a series with one sample per `interval_ms`."""
        return duration_text(span_ms - interval_ms // 2 if self.aligned else span_ms)


class Calendar(Struct, frozen=True, kw_only=True):
    """A calendar unit in UTC. `cycle` is PromQL that numbers the units; neighbours have different numbers."""

    nominal_ms: int
    longest_ms: int
    cycle: str


# Weeks begin on Monday: 1970-01-05, four days after the epoch, was the first Monday.
CALENDARS = {
    "week": Calendar(nominal_ms=7 * DAY, longest_ms=7 * DAY, cycle="floor((vector(time()) - 345600) / 604800) % 4"),
    "month": Calendar(nominal_ms=30 * DAY, longest_ms=31 * DAY, cycle="month()"),
    "quarter": Calendar(nominal_ms=91 * DAY, longest_ms=92 * DAY, cycle="floor((month() + 2) / 3)"),
}


class SloWindow(Struct, frozen=True, kw_only=True):
    """The window of an objective. `length_ms` is nominal for a calendar unit."""

    length_ms: int
    calendar: str = ""  # "" for a rolling window, or a key of CALENDARS

    @property
    def range_ms(self) -> int:
        """The longest possible length of the window: how far back a query must read."""
        return CALENDARS[self.calendar].longest_ms if self.calendar else self.length_ms

    def __str__(self) -> str:
        return f"calendar-{self.calendar}" if self.calendar else duration_text(self.length_ms)


class Repair(Struct, frozen=True, kw_only=True):
    """One comparison of raw counters with rollups. A gap in the last `look_ms` is repaired, however small.

    Without `look_ms`, only gaps of half a percent of the span's events are: few samples tell the edges less well.
    """

    every_ms: int
    span_ms: int
    step_ms: int  # between the raw samples that are read; 0 reads all
    look_ms: int
    late_ms: int = 0  # how long before its time a rollup ends


class Profile(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that one shared rule set depends on. The label `profile` of recorded series holds its name.

    Every rule asks what follows from the tiers, so a profile computes this once (`dict` has room for it).
    """

    name: str
    window: SloWindow
    tiers: tuple[Tier, ...]
    base_ms: int
    cadence: Cadence
    consumed: tuple[Decimal, ...] = CONSUMED
    min_events: int = MIN_EVENTS

    @property
    def apart(self) -> tuple[str, ...]:
        """The labels in which rollups of one SLO differ; sums remove them."""
        return (names.REPAIR, names.CYCLE) if self.window.calendar else (names.REPAIR,)

    @cached_property
    def rolled_up(self) -> bool:
        """Whether any window is long enough to be computed from rollups."""
        return max(self.spans_ms) >= ROLLED_UP_FROM_MS

    @cached_property
    def spans_ms(self) -> tuple[int, ...]:
        """The windows of the tiers, and at the end the SLO window."""
        spans = {span for tier in self.tiers for span in (tier.long_ms, tier.short_ms)}
        return (*sorted(spans), self.window.range_ms)

    @cached_property
    def adjacent_ms(self) -> tuple[int, ...]:
        """The windows of page alerts that are sums of adjacent base windows, and so show a new error at once."""
        spans = {span for tier in self.tiers if tier.pages for span in (tier.long_ms, tier.short_ms)}
        return tuple(sorted(span for span in spans if self.is_adjacent(span)))

    def is_adjacent(self, window_ms: int) -> bool:
        """Whether a page's window of this length is a sum of some adjacent base windows."""
        count, rest = divmod(window_ms, self.base_ms)
        return rest == 0 and 1 < count <= ADJACENT_MAX

    def part_ms(self, window_ms: int) -> int:
        """The longest window, whose events are known, that a page's window is a multiple of."""
        shorter = [span for span in self.adjacent_ms if span < window_ms and window_ms % span == 0]
        return max(shorter, default=self.base_ms)

    def with_parts(self, spans: Iterable[int]) -> frozenset[int]:
        """Windows, and the shorter windows that page alerts make them of."""
        found, left = set[int](), list(spans)
        while left:
            span = left.pop()
            found.add(span)
            if span in self.adjacent_ms:
                left.append(self.part_ms(span))
        return frozenset(found)

    def read_twice_ms(self, kind: str) -> frozenset[int]:
        """The windows whose events are recorded, because more than one rule reads these events.

        Longer windows are made of some, and each tier's guard counts the bad events in the long window once more.
        """
        return self._parts_ms | self._guarded_ms if kind == "errors" else self._parts_ms

    @cached_property
    def _parts_ms(self) -> frozenset[int]:
        return frozenset(self.part_ms(span) for span in self.adjacent_ms) - {self.base_ms}

    @cached_property
    def _guarded_ms(self) -> frozenset[int]:
        long = (tier.long_ms for tier in self.tiers if tier.long_ms >= ROLLED_UP_FROM_MS)
        return frozenset(long) if self.min_events else frozenset()

    @property
    def repaired(self) -> bool:
        """Whether gaps in the recorded series are filled from the raw counters."""
        return self.window.length_ms >= REPAIRED_FROM_MS

    def repairs(self, cadence: Cadence) -> tuple[Repair, ...]:
        """How gaps are repaired: the short ones soon, from all samples; the long ones later, from fewer samples.

        A build for tests repairs none.
        """
        short = Repair(every_ms=cadence.gap_ms, span_ms=cadence.gap_span_ms, step_ms=0, look_ms=cadence.gap_look_ms)
        long = Repair(
            every_ms=cadence.long_gap_ms,
            span_ms=cadence.long_gap_span_ms,
            step_ms=cadence.rollup_ms,
            look_ms=0,
        )
        if not self.repaired or cadence.aligned:
            return ()
        return (short, long) if self.window.length_ms >= LONG_REPAIRED_FROM_MS else (short,)


class DroppedTier(Struct, frozen=True, kw_only=True):
    """A default tier that an objective cannot have, with the reason."""

    name: str
    reason: str


# (name, share of the budget, long window at 30 days, severity): the workbook's table, with Freezeline's severities
DEFAULT_TIERS = (
    ("fast", Decimal("0.02"), HOUR, "critical"),
    ("medium", Decimal("0.05"), 6 * HOUR, "critical"),
    ("slow", Decimal("0.1"), DAY, "warning"),
    ("trickle", Decimal("0.1"), 3 * DAY, "warning"),
)


def plain_duration_ms(duration_ms: Fraction, at_most_ms: Fraction) -> int:
    """The plain duration (1, 2, 5, … of one unit) nearest in proportion, up to a limit."""
    allowed = [plain for plain in _PLAIN_MS if plain <= at_most_ms] or [_PLAIN_MS[0]]
    return min(allowed, key=lambda plain: max(Fraction(plain) / duration_ms, duration_ms / plain))


def factor(share: Decimal, window_ms: int, long_ms: int) -> Fraction:
    """The burn rate that spends `share` of the budget within the long window; 1 is the sustainable rate."""
    return Fraction(share) * window_ms / long_ms


def round_up(duration_ms: int, step_ms: int) -> int:
    """The least multiple of `step_ms` that is at least as large."""
    return -(-duration_ms // step_ms) * step_ms


def shortest_window_ms(scrape_ms: int, interval_ms: int) -> int:
    """The shortest allowed window: four scrapes (one may be missed) and two evaluations."""
    return max(4 * scrape_ms, 2 * interval_ms)


@lru_cache(maxsize=1024)
def default_tiers(
    window_ms: int, budget_ratio: Decimal, *, scrape_ms: int, interval_ms: int
) -> tuple[tuple[Tier, ...], tuple[DroppedTier, ...]]:
    """The four tiers scaled to an SLO window; and the tiers left out, which could never fire or always would."""
    floor_ms = shortest_window_ms(scrape_ms, interval_ms)
    kept: list[Tier] = []
    dropped: list[DroppedTier] = []
    for name, share, reference_ms, severity in DEFAULT_TIERS:
        scaled = Fraction(reference_ms * window_ms, REFERENCE_WINDOW_MS)
        # A window rounded up past share × window would make the factor smaller than 1.
        limit_ms = Fraction(share) * window_ms
        plain_ms = reference_ms if window_ms == REFERENCE_WINDOW_MS else plain_duration_ms(scaled, limit_ms)
        long_ms = max(plain_ms, floor_ms)
        short_ms = max(plain_ms // SHORT_PER_LONG, floor_ms)
        burn = factor(share, window_ms, long_ms)
        tier = Tier(name=name, share=share, long_ms=long_ms, short_ms=short_ms, factor=burn, severity=severity)
        reason = unreachable(tier, budget_ratio)
        if reason:
            dropped.append(DroppedTier(name=name, reason=reason))
        else:
            kept.append(tier)
    return tuple(kept), tuple(dropped)


def unreachable(tier: Tier, budget_ratio: Decimal) -> str:
    """Why a tier cannot work with this budget; empty if 1 ≤ factor < 1/budget."""
    factor_text = decimal_text(Decimal(tier.factor.numerator) / Decimal(tier.factor.denominator))
    if tier.factor < 1:
        return f"the factor {factor_text} is below 1, so the tier would fire although the budget lasts"
    if tier.factor * Fraction(budget_ratio) >= 1:
        ratio_text = decimal_text(budget_ratio)
        return f"factor {factor_text} × budget {ratio_text} is not below 1, so the tier could never fire"
    return ""


def too_few_slices(tier: Tier, slice_ms: int, min_events: int) -> str:
    """Why a tier can never fire for an SLO of time slices; empty if its long window holds enough slices."""
    if tier.long_ms >= min_events * slice_ms:
        return ""
    window, length = duration_text(tier.long_ms), duration_text(slice_ms)
    return f"the long window of {window} cannot hold {min_events} bad slices of {length}, so the tier could never fire"


def base_window_ms(tiers: Iterable[Tier], interval_ms: int) -> int:
    """The window of the base rates: 5m, or the shortest short window if shorter; whole evaluations."""
    fastest_ms = min((tier.short_ms for tier in tiers), default=BASE_WINDOW_MS)
    return round_up(min(BASE_WINDOW_MS, fastest_ms), interval_ms)


def cadence(tiers: Iterable[Tier], interval_ms: int) -> Cadence:
    """The evaluation intervals. Rollup and slow groups have fixed intervals, except for SLO windows of hours."""
    shorts = [tier.short_ms for tier in tiers if not tier.pages]
    slow_ms = min([SLOW_MS, *(short // 2 for short in shorts)])
    return Cadence(
        fast_ms=interval_ms,
        rollup_ms=round_up(ROLLUP_MS, interval_ms),
        slow_ms=max(interval_ms, slow_ms),
        sum_ms=round_up(SUM_MS, interval_ms),
        gap_ms=GAP_MS,
    )


@lru_cache(maxsize=1024)
def profile(
    window: SloWindow,
    tiers: tuple[Tier, ...],
    *,
    interval_ms: int,
    consumed: tuple[Decimal, ...] = CONSUMED,
    min_events: int = MIN_EVENTS,
) -> Profile:
    """The profile of an SLO. SLOs with equal profiles share one rule set."""
    pace = cadence(tiers, interval_ms)
    base_ms = base_window_ms(tiers, interval_ms)
    name = _profile_name(window, tiers, interval_ms, consumed, min_events)
    return Profile(
        name=name,
        window=window,
        tiers=tiers,
        base_ms=base_ms,
        cadence=pace,
        consumed=consumed,
        min_events=min_events,
    )


def _profile_name(
    window: SloWindow, tiers: tuple[Tier, ...], interval_ms: int, consumed: tuple[Decimal, ...], min_events: int
) -> str:
    """A readable name if all is default (`30d`, `30d-30s`, `7d-off`), else with a digest of the differences."""
    parts = [str(window)]
    if interval_ms != MINUTE:
        parts.append(duration_text(interval_ms))
    reachable, _ = default_tiers(window.length_ms, Decimal(0), scrape_ms=1, interval_ms=interval_ms)
    by_name = {tier.name: tier for tier in reachable}
    plain = all(by_name.get(tier.name) == tier for tier in tiers)
    if not tiers:
        parts.append("off")
    elif plain and len(tiers) < len(DEFAULT_TIERS):
        parts.append("-".join(tier.name for tier in tiers))
    if not plain or consumed != CONSUMED or min_events != MIN_EVENTS:
        described = repr((tiers, consumed, min_events)).encode()
        parts.append(digest(described)[:6])
    return "-".join(parts)


def consumed_severity(share: Decimal) -> str:
    """The severity of SLOBudgetConsumed: critical once the whole budget is spent."""
    return "critical" if share >= 1 else "warning"


def consumed_label(share: Decimal) -> str:
    """A share of the budget as the label `budget_consumed` writes it: 0.5 → `50`."""
    return decimal_text(share.scaleb(2))
