"""The alerting windows of the other tools and of Freezeline, for people to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from generator.model import burn
from generator.text.yaml_text import Plain
from generator.units import DAY, HOUR, MINUTE, decimal_text, duration_text

PAGES = ("fast", "medium")
TICKETS = ("slow", "trickle")
_PYRRA_REFERENCE_MS = 28 * DAY


class Window(Struct, frozen=True, kw_only=True):
    """One burn-rate alert of another tool."""

    long_ms: int
    short_ms: int
    factor: Decimal
    for_ms: int = 0

    def __str__(self) -> str:
        wait = f" for {duration_text(self.for_ms)}" if self.for_ms else ""
        factor = decimal_text(self.factor.quantize(Decimal("0.01")))
        return f"{factor}× over {duration_text(self.long_ms)} and {duration_text(self.short_ms)}{wait}"


SLOTH = (
    Window(long_ms=HOUR, short_ms=5 * MINUTE, factor=Decimal("14.4")),
    Window(long_ms=6 * HOUR, short_ms=30 * MINUTE, factor=Decimal(6)),
    Window(long_ms=DAY, short_ms=2 * HOUR, factor=Decimal(3)),
    Window(long_ms=3 * DAY, short_ms=6 * HOUR, factor=Decimal(1)),
)
# (long, short, for, factor) at 28 days. All but the factor scale with the SLO's window, rounded to minutes.
_PYRRA = (
    (HOUR, 5 * MINUTE, 2 * MINUTE, 14),
    (6 * HOUR, 30 * MINUTE, 15 * MINUTE, 7),
    (DAY, 2 * HOUR, HOUR, 2),
    (4 * DAY, 6 * HOUR, 3 * HOUR, 1),
)


def pyrra(window_ms: int) -> tuple[Window, ...]:
    """The four alerts that Pyrra makes for an SLO window."""

    def scaled(reference_ms: int) -> int:
        minutes = Decimal(reference_ms * window_ms) / _PYRRA_REFERENCE_MS / MINUTE
        return int(minutes.to_integral_value(rounding="ROUND_HALF_UP")) * MINUTE

    return tuple(
        Window(long_ms=scaled(long), short_ms=scaled(short), for_ms=scaled(wait), factor=Decimal(factor))
        for long, short, wait, factor in _PYRRA
    )


def ours(window_ms: int, budget_ratio: Decimal, scrape_ms: int) -> tuple[Window, ...]:
    """The tiers of a spec without `tiers`."""
    kept, _ = burn.default_tiers(window_ms, budget_ratio, scrape_ms=scrape_ms, interval_ms=max(MINUTE, scrape_ms))
    return tuple(
        Window(
            long_ms=tier.long_ms,
            short_ms=tier.short_ms,
            factor=Decimal(tier.factor.numerator) / Decimal(tier.factor.denominator),
        )
        for tier in kept
    )


def listed(windows: Sequence[Window]) -> str:
    """Windows in one line."""
    return "; ".join(map(str, windows)) or "none"


def kept(*, pages: bool, tickets: bool, severities: Mapping[str, str]) -> Plain:
    """The value of `tiers` if an SLO changes a default tier; None if not.

    `severities`: tier → severity, if not the default severity.
    """
    if not pages and not tickets:
        return "off"
    names = (PAGES if pages else ()) + (TICKETS if tickets else ())
    if pages and tickets and not severities:
        return None
    return {name: {"severity": severities[name]} if name in severities else {} for name in names}
