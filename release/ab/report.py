"""The report of a stage's A/B test: text, Markdown, values for JSON, and a part of an HTML page. Needs no extra."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2
import markupsafe

from freezeline import extras
from release.ab.findings import Judgement, MetricLook
from release.ab.kept import Point, Progress

Draw = Callable[[Sequence[Point]], str]
"""Draws the looks at one metric as SVG, which holds no text from outside."""

SAID = {
    "worse": "The canary is worse.",
    "not_worse": "The canary is not worse.",
    "undecided": "Undecided: the test goes on.",
    "cannot_tell": "Nobody can tell.",
}
COLUMNS = (
    "metric",
    "canary bad",
    "stable bad",
    "difference, with interval",
    "evidence",
    "events still needed",
    "result",
)
WITHOUT_PLOTS = f"Plots need matplotlib: {extras.install('ab')}, and write the page anew."
SECTION = """\
<h1>A/B test of {{ service }} {{ release }}</h1>
<p><strong>{{ said }}</strong> {{ why }}</p>
<table>
<thead><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table>
{% if without %}<p>{{ without }}</p>
{% endif %}{% for title, plot in plots %}<h2>{{ title }}</h2>
<figure>{{ plot }}</figure>
{% endfor %}"""


def as_text(service: str, release: str, found: Judgement) -> str:
    """For a terminal: one line for the whole test, and one for each metric."""
    lines = [f"A/B test of {service} {release}: {said(found)}"]
    for one in found.metrics:
        name, canary, stable, gap, evidence, needed, result = _row(one)
        lines.append(
            f"  {name}: canary {canary}, stable {stable}, difference {gap}, {evidence},"
            f" events needed {needed}: {result}"
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
            "statistic": one.statistic,
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


def section(service: str, release: str, found: Judgement, progress: Progress, draw: Draw | None) -> markupsafe.Markup:
    """A part of a page: a table, and a drawing for each metric. Names of others are text there, never markup.

    Without `draw`, the page says how to get the drawings.
    """
    by_metric: dict[str, list[Point]] = {}
    for point in progress.points:
        by_metric.setdefault(point.metric, []).append(point)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(SECTION)
    text = template.render(
        service=service,
        release=release,
        said=SAID[found.outcome.value],
        why=found.why,
        columns=COLUMNS,
        rows=rows(found),
        plots=[] if draw is None else [(metric, markupsafe.Markup(draw(one))) for metric, one in by_metric.items()],  # noqa: S704 - see Draw
        without="" if draw is not None else WITHOUT_PLOTS,
    )
    return markupsafe.Markup(text)  # noqa: S704 - the template has escaped every name


def said(found: Judgement) -> str:
    """The answer of the whole test, in words."""
    return f"{SAID[found.outcome.value]} {found.why}"


def rows(found: Judgement) -> list[tuple[str, ...]]:
    """A row for each metric, as wide as COLUMNS."""
    return [_row(one) for one in found.metrics]


def _row(one: MetricLook) -> tuple[str, ...]:
    gap = one.canary.share - one.stable.share
    return (
        one.metric,
        f"{one.canary.bad:,} of {one.canary.total:,} ({one.canary.share:.3%})",
        f"{one.stable.bad:,} of {one.stable.total:,} ({one.stable.share:.3%})",
        f"{100 * gap:+.3f} points ({100 * one.low:+.3f} to {100 * one.high:+.3f})",
        _evidence(one),
        f"{_still_needed(one):,}",
        f"{one.outcome.value.replace('_', ' ')}: {one.why}",
    )


def _evidence(one: MetricLook) -> str:
    """The statistic that decides, with its bound: `z = +1.20 (bound 2.18)`, or `e = 3.1 (bound 40)`."""
    value = f"z = {one.z:+.2f}" if one.statistic == "z" else f"e = {one.e:.3g}"
    return value + (f" (bound {one.bound:.4g})" if math.isfinite(one.bound) else "")


def _still_needed(one: MetricLook) -> int:
    """Events that the smaller release still lacks."""
    return max(0, one.needed - min(one.canary.total, one.stable.total))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
