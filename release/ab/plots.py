"""Draws the looks of an A/B test. Needs matplotlib, which the extra `ab` brings."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from release.ab.kept import Point


def draw(points: Sequence[Point]) -> str:
    """The difference with its interval, and z with its bound, over the looks, as SVG without text from outside."""
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
