"""Whether each alert can keep its promise `within`."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.conditions.base import THRESHOLDS
from generator.conditions.ratio import Ratio
from generator.model.spec import OutputSet, PlainAlert
from generator.units import duration_text

CODES = ("alert/promise", "alert/for", "alert/threshold")


def check(output_set: OutputSet, problems: Problems) -> None:
    """Compare `within` with `for`, the interval and `consecutive`, and each threshold with the range of its ratio."""
    for spec in output_set.specs:
        for alert in spec.alerts:
            _check_promise(alert, problems)
            _check_for(alert, problems)
            if isinstance(alert.condition, Ratio):
                _check_ratio(alert, alert.condition, problems)


def _check_promise(alert: PlainAlert, problems: Problems) -> None:
    if alert.within_ms is None or alert.earliest_ms <= alert.within_ms:
        return
    parts = [f"one evaluation ({duration_text(alert.interval_ms)})"]
    if alert.for_ms:
        parts.append(f"for ({duration_text(alert.for_ms)})")
    if alert.consecutive > 1:
        parts.append(f"{alert.consecutive - 1} more evaluations")
    message = (
        f"alerts.{alert.name} promises to fire within {duration_text(alert.within_ms)}, "
        f"but needs {duration_text(alert.earliest_ms)}: {' + '.join(parts)}"
    )
    problems.add(
        "alert/promise",
        alert.at("within"),
        message,
        f"write `within: {duration_text(alert.earliest_ms)}`, or a shorter `for` or `every`",
    )


def _check_for(alert: PlainAlert, problems: Problems) -> None:
    if 0 < alert.for_ms < alert.interval_ms:
        message = (
            f"alerts.{alert.name}: `for` is shorter than the evaluation interval. "
            "The alert still waits one full interval."
        )
        hint = f"write `for: {duration_text(alert.interval_ms)}`, or a shorter `every`"
        problems.add("alert/for", alert.at("for"), message, hint, warning=True)


def _check_ratio(alert: PlainAlert, ratio: Ratio, problems: Problems) -> None:
    """A ratio lies between 0 and 1. With a threshold outside, the alert never fires, or always."""
    threshold = ratio.threshold
    never = {
        ">": threshold.value >= 1,
        ">=": threshold.value > 1,
        "<": threshold.value <= 0,
        "<=": threshold.value < 0,
    }
    always = {
        ">": threshold.value < 0,
        ">=": threshold.value <= 0,
        "<": threshold.value > 1,
        "<=": threshold.value >= 1,
    }
    if never[threshold.op] or always[threshold.op]:
        word = "never" if never[threshold.op] else "always"
        message = f"alerts.{alert.name} would {word} fire: a ratio lies between 0 and 1, not {threshold.words}"
        plain = 1 < threshold.value <= 100 and not threshold.written.endswith("%")
        hint = f"did you mean `{threshold.written}%`?" if plain else "write a percentage, such as 1%"
        key = next(key for key, op in THRESHOLDS.items() if op == threshold.op)
        problems.add("alert/threshold", alert.at(key), message, hint)
