"""Makes input series from the wishes of selectors: picks labels, and splits a metric that two selectors share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from msgspec import Struct

from generator.promql.text import Selector
from generator.proofs import labels
from generator.proofs.labels import NoLabelsError
from generator.proofs.series import Gone, InputSeries, Slope, Stretch, series_name, values_text

TARGET = {"job": "proof", "instance": "proof:9090"}


class Part(Struct, frozen=True, kw_only=True):
    """One selector and its series. If it selects several series, `stretches` describe their sum."""

    selector: Selector
    stretches: tuple[Stretch, ...]


def series(parts: Iterable[Part], sample_ms: int, fixed: Mapping[str, str]) -> list[InputSeries]:
    """Input series for the parts. A series that never exists is left out. Raises NoLabelsError."""
    by_metric: dict[str, list[Part]] = {}
    for part in parts:
        by_metric.setdefault(part.selector.metric, []).append(part)
    found: list[InputSeries] = []
    for metric, own in by_metric.items():
        for labelled, stretches in _place(own, TARGET | dict(fixed)):
            if any(not isinstance(stretch.signal, Gone) for stretch in stretches):
                values = values_text(stretches, sample_ms)
                found.append(InputSeries(name=series_name(metric, labelled), values=values))
    names = [item.name for item in found]
    if len(set(names)) != len(names):
        raise NoLabelsError(f"two selectors need the same series {max(names, key=names.count)}")
    return found


def _place(parts: Sequence[Part], fixed: Mapping[str, str]) -> list[tuple[dict[str, str], tuple[Stretch, ...]]]:
    """Labels and stretches for the selectors of one metric."""
    if len(parts) == 2:
        inner, outer = sorted(parts, key=lambda part: -len(part.selector.matchers))
        overlap = _overlap(outer.selector, inner.selector, fixed)
        if overlap is not None:
            rest = labels.selected_without(outer.selector, inner.selector, fixed)
            return [(overlap, inner.stretches), (rest, _difference(outer.stretches, inner.stretches))]
    placed = []
    for index, part in enumerate(parts):
        others = [other.selector for other in (*parts[:index], *parts[index + 1 :])]
        own = labels.selected(part.selector, fixed)
        if any(labels.accepts(other.matchers, own) for other in others):
            raise NoLabelsError(f"{part.selector.text} and another selector of the same metric overlap")
        placed.append((own, part.stretches))
    return placed


def _overlap(outer: Selector, inner: Selector, fixed: Mapping[str, str]) -> dict[str, str] | None:
    try:
        return labels.selected_by_both(outer, inner, fixed)
    except NoLabelsError:
        return None


def _difference(whole: Sequence[Stretch], part: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """The rest of the whole, for its other series."""
    remaining = []
    for outer, inner in zip(whole, part, strict=True):
        match outer.signal, inner.signal:
            case Gone(), _:
                remaining.append(outer)
            case Slope(per_s=total), Slope(per_s=share):
                remaining.append(Stretch(samples=outer.samples, signal=Slope(per_s=max(total - share, Fraction(0)))))
            case Slope(), Gone():
                remaining.append(outer)
            case _:
                raise NoLabelsError("two selectors of one metric overlap, and its values are not counters")
    return tuple(remaining)
