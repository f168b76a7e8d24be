"""Reads `ab`: the statistics that compare two releases over a stage."""

from __future__ import annotations

from decimal import Decimal

from generator.model.ab import AbTest
from generator.reading.reader import Reader

METHODS = ("group-sequential", "anytime", "fixed-horizon")


def parse(reader: Reader) -> AbTest | None:
    """The test under `ab`. None without `ab`."""
    inner = reader.mapping("ab")
    if inner is None:
        return None
    test = AbTest(
        metrics=inner.texts("metrics"),
        confidence=inner.ratio("confidence", Decimal("0.95")),
        power=inner.ratio("power", Decimal("0.8")),
        detect=inner.ratio("detect", Decimal("0.2")),
        method=inner.choice("method", METHODS, METHODS[0]),
        assignment=inner.choice("assignment", ("request", "user"), "request"),
        variance_inflation=inner.decimal("variance_inflation") if inner.has("variance_inflation") else None,
        then=inner.choice("then", ("approval", "advance"), "approval"),
    )
    if not test.metrics:
        inner.fail(
            "canary/ab",
            f"{inner.what} names no gate to compare",
            "write `metrics: [errors]` with ids under `gates:`",
            key="metrics",
        )
    for key, ratio in (("confidence", test.confidence), ("power", test.power)):
        if not Decimal("0.5") <= ratio < 1:
            inner.fail(
                "canary/ab",
                f"{inner.what}.{key} must be at least 50% and below 100%",
                "write `confidence: 95%` and `power: 80%`",
                key=key,
            )
    if test.detect <= 0:
        hint = "write `detect: 20%`, the smallest rise of a bad share that matters"
        inner.fail("canary/ab", f"{inner.what}.detect must be above 0%", hint, key="detect")
    if test.variance_inflation is not None and test.variance_inflation < 1:
        hint = "write `variance_inflation: 4`, how much more requests vary because users stay with one release"
        inner.fail("canary/ab", f"{inner.what}.variance_inflation is below 1", hint, key="variance_inflation")
    inner.finish()
    return test
