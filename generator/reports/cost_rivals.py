"""The samples that Sloth's and Pyrra's rules would read for the same SLOs, by the same calculation."""

from __future__ import annotations

from generator.model.spec import OutputSet, Slo, Spec
from generator.promql import text as promql
from generator.reports.cost import Assumptions, Resolve, Total, group_count, read, resolver
from generator.reports.cost_series import Catalog
from generator.sli.bad_total import BadTotal
from generator.sli.good_total import GoodTotal
from generator.sli.histogram import HistogramBelow
from generator.units import DAY, HOUR, MINUTE, duration_text

SLOTH_WINDOWS_MS = (5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY)
PYRRA_WINDOWS_MS = (5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 4 * DAY)
SLOTH_RULES = 17
PYRRA_RULES = 18
_PYRRA_INCREASE_MS = 150_000


def rivals(output_set: OutputSet, assumed: Assumptions) -> dict[str, Total]:
    """Sloth's and Pyrra's rules for the SLOs that count events of raw series, evaluated each minute.

    Pyrra evaluates its burn rates twice a minute by default: its real cost is higher than the number here.
    """
    found = {"Sloth": Total(), "Pyrra": Total()}
    catalog = Catalog(output_set, assumed.groups)
    for spec, slo in compared(output_set):
        resolve = resolver(catalog, assumed, spec.defaults.scrape_ms)
        pair = ratio_selectors(slo)
        if pair is not None:
            groups = group_count(slo, assumed)
            window_ms = slo.profile.window.length_ms

            sloth = sum(_both(pair, window, resolve) for window in SLOTH_WINDOWS_MS) + 2 * groups * window_ms / MINUTE
            pyrra = sum(_both(pair, window, resolve) for window in PYRRA_WINDOWS_MS)
            pyrra += _both(pair, window_ms, resolve) * MINUTE / _PYRRA_INCREASE_MS
            found["Sloth"] = _more(found["Sloth"], SLOTH_RULES, groups, sloth)
            found["Pyrra"] = _more(found["Pyrra"], PYRRA_RULES, groups, pyrra)
    return found


def compared(output_set: OutputSet) -> list[tuple[Spec, Slo]]:
    """The SLOs that count events of raw series: the other tools can express these."""
    return [(spec, slo) for spec in output_set.specs for slo in spec.slos if ratio_selectors(slo) is not None]


def _both(pair: tuple[str, str], window_ms: int, resolve: Resolve) -> float:
    text = " / ".join(f"sum(rate({selector}[{duration_text(window_ms)}]))" for selector in pair)
    return read(promql.parse(text), resolve, 1.0).samples


def _more(total: Total, count: int, groups: float, samples: float) -> Total:
    return Total(
        rules=total.rules + count,
        series=total.series + groups * (count - 4),
        samples_per_minute=total.samples_per_minute + samples,
    )


def ratio_selectors(slo: Slo) -> tuple[str, str] | None:
    """The selectors of bad (or good) and of all events; None if an SLI does not count raw series."""
    match slo.sli:
        case BadTotal(bad=promql.Selector() as part, total=promql.Selector() as whole):
            return part.text, whole.text
        case GoodTotal(good=promql.Selector() as part, total=promql.Selector() as whole):
            return part.text, whole.text
        case HistogramBelow(native=False) as sli:
            name = sli.histogram.metric
            bucket = promql.with_metric(sli.histogram, f"{name}_bucket", sli.bucket_matcher)
            return bucket, promql.with_metric(sli.histogram, f"{name}_count")
        case _:
            return None
