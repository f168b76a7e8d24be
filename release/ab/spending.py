"""Bounds of a group-sequential test: how much evidence each look needs, so that all looks together keep the level.

The spending function is of the O'Brien-Fleming type (Lan and DeMets 1983). The bounds follow by a recursion over the
density of the statistic that no look has stopped (Armitage, McPherson and Rowe 1969).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

BOUND_MAX = 8.0
"""No bound is larger: beyond this, the chance is below 1e-15 and bounds are not worth their digits."""

GRID = 161
_Floats = NDArray[np.float64]


def spent(time: float, level: float) -> float:
    """How much of the level is spent at an information time from 0 to 1: 4·(1 - Φ(z(level/4)/√time)), two-sided."""
    if time <= 0:
        return 0.0
    quantile = stats.norm.isf(level / 4)
    return float(min(level, 4 * stats.norm.sf(quantile / np.sqrt(min(time, 1.0)))))


def bounds(times: Sequence[float], level: float) -> tuple[float, ...]:
    """The two-sided bound for |z| at each look. `times` are information times, which grow up to at most 1.

    Raises ValueError for times that do not grow.
    """
    if not all(0 < time <= 1 for time in times) or any(a >= b for a, b in pairwise(times)):
        raise ValueError("information times grow, and are above 0 and at most 1")
    found: list[float] = []
    density: tuple[_Floats, _Floats] | None = None  # points of the statistic's path, and their weights
    before = 0.0
    for time in times:
        budget = spent(time, level) - spent(before, level)
        bound = _bound(density, before, time, budget)
        found.append(bound)
        density = _carried_on(density, before, time, bound)
        before = time
    return tuple(found)


def _bound(density: tuple[_Floats, _Floats] | None, before: float, time: float, budget: float) -> float:
    """The |z| that is crossed for the first time at this look with the chance `budget`."""

    def crossed(bound: float) -> float:
        return _beyond(density, before, time, bound) - budget

    if crossed(BOUND_MAX) >= 0:
        return BOUND_MAX
    return float(optimize.brentq(crossed, 0.0, BOUND_MAX, xtol=1e-10))


def _beyond(density: tuple[_Floats, _Floats] | None, before: float, time: float, bound: float) -> float:
    """The chance that the path, not stopped before, lies outside ±bound·√time now."""
    edge = bound * np.sqrt(time)
    if density is None:
        return float(2 * stats.norm.sf(bound))
    points, weights = density
    step = np.sqrt(time - before)
    return float(np.sum(weights * (special.ndtr((points - edge) / step) + special.ndtr((-edge - points) / step))))


@functools.cache
def _gauss_legendre() -> tuple[_Floats, _Floats]:
    """Points and weights from -1 to 1: dear to compute, and always the same."""
    nodes, rule = np.polynomial.legendre.leggauss(GRID)
    return nodes, rule


def _carried_on(
    density: tuple[_Floats, _Floats] | None, before: float, time: float, bound: float
) -> tuple[_Floats, _Floats]:
    """Points and weights of the path that goes on, by Gauss and Legendre's rule between the bounds."""
    nodes, rule = _gauss_legendre()
    edge = bound * np.sqrt(time)
    points, rule = nodes * edge, rule * edge
    if density is None:
        return points, rule * stats.norm.pdf(points, scale=np.sqrt(time))
    earlier, weights = density
    step = np.sqrt(time - before)
    kernel = stats.norm.pdf((points[:, None] - earlier[None, :]) / step) / step
    return points, rule * (kernel @ weights)
