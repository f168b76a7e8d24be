"""The report of a stage's A/B test: text, values for JSON, and a part of an HTML page with plots."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2
import markupsafe
from matplotlib import rc_context
from matplotlib.figure import Figure

from release.ab.judge import Judgement, MetricLook
from release.ab.stage import Point, Progress

SAID = {
    "worse": "The canary is worse.",
    "not_worse": "The canary is not worse.",
    "undecided": "Undecided: the test goes on.",
    "cannot_tell": "Nobody can tell.",
}
SECTION = """\
<h1>A/B test of {{ service }} {{ release }}</h1>
<p><strong>{{ said }}</strong> {{ why }}</p>
<table>
<thead><tr><th>metric</th><th>canary bad</th><th>stable bad</th><th>difference, with interval</th><th>z</th>\
<th>events still needed</th><th>result</th></tr></thead>
<tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table>
{% for title, plot in plots %}<h2>{{ title }}</h2>
<figure>{{ plot }}</figure>
{% endfor %}"""


def as_text(service: str, release: str, found: Judgement) -> str:
    """For a terminal: one line for the whole test, and one for each metric."""
    lines = [f"A/B test of {service} {release}: {SAID[found.outcome.value]} {found.why}"]
    for one in found.metrics:
        name, canary, stable, gap, z, needed, result = _row(one)
        lines.append(
            f"  {name}: canary {canary}, stable {stable}, difference {gap}, z {z}, events needed {needed}: {result}"
        )
    return "\n".join(lines) + "\n"


def as_values(service: str, release: str, found: Judgement, progress: Progress) -> dict[str, Any]:
    """For programs. A number that is not finite is null."""
    metrics = [
        {
            "metric": one.metric,
            "outcome": one.outcome.value,
            "canary": {"bad": one.canary.bad, "total": one.canary.total},
            "stable": {"bad": one.stable.bad, "total": one.stable.total},
            "difference": {"low": one.low, "value": one.canary.share - one.stable.share, "high": one.high},
            "z": _finite(one.z),
            "bound": _finite(one.bound),
            "log_e": _finite(one.log_e),
            "needed": one.needed,
            "still_needed": _still_needed(one),
            "why": one.why,
        }
        for one in found.metrics
    ]
    return {
        "service": service,
        "release": release,
        "outcome": found.outcome.value,
        "why": found.why,
        "since": _moment(progress.counts.since_s),
        "until": _moment(progress.counts.until_s),
        "metrics": metrics,
        "looks": [
            {"at": _moment(one.at_s), "metric": one.metric, "z": one.z, "bound": one.bound, "difference": one.gap}
            for one in progress.points
        ],
    }


def section(service: str, release: str, found: Judgement, progress: Progress) -> markupsafe.Markup:
    """A part of a page: a table, and two plots for each metric. Names of others are text there, never markup."""
    by_metric: dict[str, list[Point]] = {}
    for point in progress.points:
        by_metric.setdefault(point.metric, []).append(point)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(SECTION)
    text = template.render(
        service=service,
        release=release,
        said=SAID[found.outcome.value],
        why=found.why,
        rows=[_row(one) for one in found.metrics],
        plots=_plots(by_metric),
    )
    return markupsafe.Markup(text)  # noqa: S704 - the template has escaped every name


def _plots(by_metric: Mapping[str, Sequence[Point]]) -> list[tuple[str, object]]:
    """Titles and drawings. A drawing holds no text from outside, so it may stand in the page as it is."""
    return [(metric, markupsafe.Markup(_plot(points))) for metric, points in by_metric.items()]  # noqa: S704


def _plot(points: Sequence[Point]) -> str:
    """The difference with its interval, and z with its bound, over the looks, as SVG."""
    days = [(one.at_s - points[0].at_s) / 86400 for one in points]
    with rc_context({"svg.hashsalt": "freezeline", "svg.fonttype": "path"}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        gaps = [100 * one.gap for one in points]
        reach = [[100 * (one.gap - one.low) for one in points], [100 * (one.high - one.gap) for one in points]]
        left.errorbar(days, gaps, yerr=reach, fmt="o", color="#1f5fa8", capsize=3)
        left.axhline(0, color="#666", linewidth=1)
        left.set(title="canary - stable", xlabel="days since the first look", ylabel="percentage points")
        right.plot(days, [one.z for one in points], "o-", color="#1f5fa8", label="z")
        bounds = [(day, one.bound) for day, one in zip(days, points, strict=True) if one.bound is not None]
        right.plot([day for day, _ in bounds], [bound for _, bound in bounds], "s--", color="#b3261e", label="bound")
        right.set(title="evidence", xlabel="days since the first look", ylabel="z")
        right.legend()
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _row(one: MetricLook) -> tuple[str, ...]:
    gap = one.canary.share - one.stable.share
    return (
        one.metric,
        f"{one.canary.bad:,} of {one.canary.total:,} ({one.canary.share:.3%})",
        f"{one.stable.bad:,} of {one.stable.total:,} ({one.stable.share:.3%})",
        f"{100 * gap:+.3f} points ({100 * one.low:+.3f} to {100 * one.high:+.3f})",
        f"{one.z:+.2f}" + (f" (bound {one.bound:.2f})" if math.isfinite(one.bound) else ""),
        f"{_still_needed(one):,}",
        f"{one.outcome.value.replace('_', ' ')}: {one.why}",
    )


def _still_needed(one: MetricLook) -> int:
    """Events that the smaller release still lacks."""
    return max(0, one.needed - min(one.canary.total, one.stable.total))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
