"""The window of an SLO and its tiers: how fast its error budget may burn before somebody is told."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from generator.model import burn
from generator.model.burn import DroppedTier, SloWindow, Tier
from generator.model.spec import Defaults
from generator.names import SEVERITIES
from generator.reading.reader import Reader
from generator.units import SECOND, duration_text


def parse_window(reader: Reader, defaults: Defaults) -> SloWindow:
    """`window`: a rolling length, or a calendar unit such as `calendar month`."""
    if not reader.has("window"):
        return SloWindow(length_ms=defaults.window_ms)
    value = reader.value("window")
    kind, _, unit = value.text.partition(" ") if value is not None else ("", "", "")
    if kind == "calendar":
        if unit in burn.CALENDARS:
            return SloWindow(length_ms=burn.CALENDARS[unit].nominal_ms, calendar=unit)
        known = " or ".join(f"`calendar {name}`" for name in burn.CALENDARS)
        reader.fail(
            "spec/calendar", f"{reader.what}.window: {unit!r} is not a calendar unit", f"write {known}", key="window"
        )
        return SloWindow(length_ms=defaults.window_ms)
    return SloWindow(length_ms=reader.duration_ms("window", at_least=SECOND))


def parse_tiers(
    reader: Reader, window: SloWindow, budget_ratio: Decimal, defaults: Defaults
) -> tuple[tuple[Tier, ...], tuple[DroppedTier, ...]]:
    """`tiers`: `off`, the tiers of the spec, or the default tiers; and the default tiers that are left out."""
    value = reader.value("tiers")
    if value is not None and value.text == "off":
        return (), ()
    if value is None or reader.failed:
        return burn.default_tiers(
            window.length_ms, budget_ratio, scrape_ms=defaults.scrape_ms, interval_ms=defaults.interval_ms
        )
    if not isinstance(value.content, dict):
        hint = "write `tiers: off`, or `tiers: {fast: {share: 2%, long: 1h, short: 5m}}`"
        reader.fail("spec/type", f"{reader.what}.tiers must be `off` or a mapping", hint, key="tiers")
        return (), ()
    tiers = []
    for name, _, inner in reader.named_readers("tiers"):
        tiers.append(_tier(name, inner, window, budget_ratio, defaults))
    return tuple(tiers), ()


def tiers_of_slices(
    reader: Reader, tiers: tuple[Tier, ...], slice_ms: int, min_events: int
) -> tuple[tuple[Tier, ...], tuple[DroppedTier, ...]]:
    """The tiers whose long window can hold `min_events` bad slices, and the default tiers that are left out."""
    kept, dropped = [], []
    for tier in tiers:
        reason = burn.too_few_slices(tier, slice_ms, min_events)
        if not reason:
            kept.append(tier)
        elif reader.has("tiers"):
            hint = "write a longer `long`, a shorter `slice`, or a smaller `min_events`"
            reader.fail("tier/unreachable", f"{reader.what}.tiers.{tier.name}: {reason}", hint, key="tiers")
        else:
            dropped.append(DroppedTier(name=tier.name, reason=reason))
    return tuple(kept), tuple(dropped)


def _tier(name: str, reader: Reader, window: SloWindow, budget_ratio: Decimal, defaults: Defaults) -> Tier:
    """One tier of the spec. A missing value comes from the default tier of the same name."""
    defaults_by_name = {
        tier.name: tier
        for tier in burn.default_tiers(
            window.length_ms, Decimal(0), scrape_ms=defaults.scrape_ms, interval_ms=defaults.interval_ms
        )[0]
    }
    known = defaults_by_name.get(name)
    if known is not None:
        share = reader.ratio("share", known.share)
        long_ms = reader.duration_ms("long", known.long_ms)
        short_ms = reader.duration_ms("short", max(known.short_ms, long_ms // burn.SHORT_PER_LONG))
    else:
        share = reader.ratio("share")
        long_ms = reader.duration_ms("long")
        short_ms = reader.duration_ms("short", max(1, long_ms // burn.SHORT_PER_LONG))
    severity = reader.choice("severity", SEVERITIES, known.severity if known else "warning")
    reader.finish()
    factor = burn.factor(share, window.length_ms, long_ms) if share > 0 else Fraction(1)
    tier = Tier(name=name, share=share, long_ms=long_ms, short_ms=short_ms, factor=factor, severity=severity)
    if not reader.failed:
        _check_tier(reader, tier, budget_ratio, defaults)
    return tier


def _check_tier(reader: Reader, tier: Tier, budget_ratio: Decimal, defaults: Defaults) -> None:
    reason = (
        burn.unreachable(tier, budget_ratio) if 0 < tier.share <= 1 else "`share` must be above 0 % and at most 100 %"
    )
    if reason:
        hint = "change `share` or `long`: factor = share × SLO window / long, and 1 ≤ factor < 1/budget"
        reader.fail("tier/unreachable", f"{reader.what}: {reason}", hint)
    floor_ms = burn.shortest_window_ms(defaults.scrape_ms, defaults.interval_ms)
    if tier.short_ms < floor_ms:
        hint = f"write `short: {duration_text(floor_ms)}` or more: four scrapes and two evaluations"
        reader.fail(
            "tier/short-window",
            f"{reader.what}: the short window {duration_text(tier.short_ms)} is too short",
            hint,
            key="short",
        )
    if tier.long_ms <= tier.short_ms:
        reader.fail(
            "tier/windows",
            f"{reader.what}: `long` must be longer than `short`",
            f"write `long: {duration_text(burn.SHORT_PER_LONG * tier.short_ms)}`, 12 × `short`",
            key="long",
        )
