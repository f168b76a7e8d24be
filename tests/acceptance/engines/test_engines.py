"""The generated rules in every engine that Go builds, beside Prometheus, through one incident."""

from pathlib import Path

import pytest

from tests.engines import story
from tests.engines.world import INTERVAL_S, ROLLUP_S, SLOW_S
from tests.tools import Generation

# Go builds Thanos and Cortex for many minutes, and the incident takes ten.
pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(7200)]

SAME = 0.001
POLL_S = 2.0


@pytest.mark.parametrize("generation", ["current"], indirect=True)
def test_every_engine_sees_the_same_incident(generation: Generation, tmp_path: Path) -> None:
    """Budgets within 0.1 % of Prometheus' and of the truth; each alert within one evaluation of what it reads."""
    prometheus, *others = story.tell(generation, tmp_path, story.ENGINES)
    assert [seen.engine for seen in others] == list(story.ENGINES)
    for seen in others:
        print(seen)
        assert seen.broken == []
        assert abs(seen.ratio / prometheus.ratio - 1) < SAME, seen
        assert abs(seen.error) < SAME, seen
        for alert in (story.BURN, "FailureRateHigh", "Counts"):
            assert abs(seen.fired[alert] - prometheus.fired[alert]) <= INTERVAL_S + POLL_S, (seen, prometheus)
        # The budget is made of rollups and looked at more rarely, and each engine does both at times of its own.
        assert abs(seen.fired[story.CONSUMED] - prometheus.fired[story.CONSUMED]) <= ROLLUP_S + SLOW_S + POLL_S
