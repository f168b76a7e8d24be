"""Reads `ab`: the statistics that compare two releases over a stage."""

from __future__ import annotations

from decimal import Decimal

from generator.model.ab import AbTest
from generator.reading.reader import Reader


def parse(reader: Reader) -> AbTest | None:
    """The test under `ab`. None without `ab`."""
    inner = reader.mapping("ab")
    if inner is None:
        return None
    test = AbTest(
        metrics=inner.texts("metrics"),
        confidence=inner.ratio("confidence", Decimal("0.95")),
        power=inner.ratio("power", Decimal("0.8")),
        method=inner.choice("method", ("fixed-horizon",), "fixed-horizon"),
        then=inner.choice("then", ("approval", "advance"), "approval"),
    )
    if not test.metrics:
        inner.fail(
            "canary/ab",
            f"{inner.what} names no SLO to compare",
            "write `metrics: [errors]` with names under `slos:`",
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
    inner.finish()
    return test
