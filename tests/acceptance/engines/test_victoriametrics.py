"""Rules that `generate --target victoriametrics` writes, in vmalert and VictoriaMetrics, beside Prometheus."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.month_rules import recordings
from generator import names
from tests.engines import servers, story
from tests.engines.servers import Engine
from tests.engines.world import WINDOWS, World, rule_files, write_rules
from tests.tools import Generation

# Go builds VictoriaMetrics at the first run, in a minute.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

SAME = 0.001
FIRING_DEADLINE_S = 90.0
ALERTS = {story.BURN, "FailureRateHigh", "Counts"}


@contextlib.contextmanager
def both(generation: Generation, directory: Path) -> Iterator[tuple[World, Engine, Engine]]:
    """Prometheus and VictoriaMetrics with the same past, which ends now."""
    world = servers.world_until_now("victoriametrics")
    with (
        servers.prometheus(generation, directory / "prometheus") as prometheus,
        servers.victoria_metrics(directory / "victoriametrics") as other,
    ):
        past = world.past()
        for engine in (prometheus, other):
            engine.machine.remote_write(past)
        servers.flush_victoria_metrics(other)
        yield world, prometheus, other


def recorded(engine: Engine, at: float) -> dict[frozenset[tuple[str, str]], float]:
    """Evaluate every recording rule once, at one instant, and read the results."""
    for group in (group for file in rule_files(engine.name) for group in file.groups):
        engine.machine.run_in_order(recordings([group]), [at])
        if engine.name == "victoriametrics":
            servers.flush_victoria_metrics(engine)
    found = engine.machine.query('{__name__=~"slo:.*"}', at)
    return {frozenset(labels.items()): value for labels, value in found}


@pytest.mark.parametrize("generation", ["current"], indirect=True)
def test_same_numbers_and_same_alerts(generation: Generation, tmp_path: Path) -> None:
    """Each recorded series differs by less than 0.1 %; alerts fire as evaluations come, and say the same."""
    with both(generation, tmp_path) as (world, prometheus, other):
        ours, theirs = recorded(prometheus, world.end), recorded(other, world.end)
        assert ours.keys() == theirs.keys()
        far = {labels: (ours[labels], theirs[labels]) for labels in ours if not same(ours[labels], theirs[labels])}
        assert far == {}
        for window, seconds in WINDOWS.items():
            query = f'{names.ERROR_RATIO}{{window="{window}"}}'
            assert other.value(query, world.end) == pytest.approx(world.ratio(world.end, seconds), rel=0.005), window
        alerts_fire_together(world, prometheus, other, tmp_path)


def same(one: float, other: float) -> bool:
    """Whether two recorded values are the same within 0.1 %."""
    return math.isclose(one, other, rel_tol=SAME, abs_tol=1e-9)


def alerts_fire_together(world: World, prometheus: Engine, other: Engine, directory: Path) -> None:
    """Let everything fail, and compare when and with which texts the alerts of both engines fire."""
    machines = [prometheus.machine, other.machine]
    servers.load_into_prometheus(prometheus, write_rules("prometheus", directory / "prometheus"))
    with servers.vmalert(other, write_rules("victoriametrics", directory / "victoriametrics")):
        both_engines = (prometheus, other)
        world.live_until(lambda: all(map(evaluated, both_engines)), machines, FIRING_DEADLINE_S, "an evaluation")
        assert set(story.firing(other)) <= {"SLONoData"}
        world.steps.append((time.time(), 1.0))
        seen: dict[str, dict[str, float]] = {engine.name: {} for engine in both_engines}

        def all_fire() -> bool:
            for engine in both_engines:
                for name in story.firing(engine):
                    seen[engine.name].setdefault(name, time.monotonic())
            return all(found.keys() >= ALERTS for found in seen.values())

        world.live_until(all_fire, machines, FIRING_DEADLINE_S, f"all alerts, but {seen}")
        late = {name: seen["victoriametrics"][name] - seen["prometheus"][name] for name in ALERTS}
        assert {name: s for name, s in late.items() if story.far_apart(name, "victoriametrics", s)} == {}
        assert texts(other) == texts(prometheus)
        broken = [rule for group in other.rule_groups() for rule in group["rules"] if rule.get("lastError")]
        assert broken == []


def evaluated(engine: Engine) -> bool:
    """Whether every fast group ran at least once."""
    groups = [group for group in engine.rule_groups() if "fast" in group["name"] or "alerts" in group["name"]]
    times = [str(group.get("lastEvaluation", "")) for group in groups]
    return bool(times) and not any(at.startswith(("0001", "1970")) or not at for at in times)


def texts(engine: Engine) -> dict[str, dict[str, str]]:
    """Labels, and the annotations without numbers, of each alert that the incident is about."""
    return {
        alert["labels"]["alertname"]: {
            **alert["labels"],
            **{name: alert["annotations"][name] for name in ("description", "runbook_url", "dashboard_url", "spec")},
        }
        for alert in engine.alerts()
        if alert["labels"]["alertname"] == "SLOBudgetBurn"
    }
