"""One incident, seen by several engines at the same time: how right their budgets are, and when their alerts fire."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

from generator import names
from tests.engines import cortex, mimir, servers, thanos
from tests.engines.servers import Engine
from tests.engines.world import INTERVAL_S, LONG_AGO, ROLLUP_S, SLOW_S, World, write_rules
from tests.tools import Generation
from tests.waiting import DeadlinePassedError

ENGINES = ("victoriametrics", "thanos", "cortex", "mimir")
INCIDENT_S = 90
START_DEADLINE_S = 180.0
ALERTS_DEADLINE_S = 660.0
SETTLED_S = 600  # after the incident: a rollup and a slow evaluation of every engine
BURN, CONSUMED = "SLOBudgetBurn fast", "SLOBudgetConsumed 50"
ALERTS = (BURN, "FailureRateHigh", "Counts", CONSUMED)
EVALUATIONS_S = {
    BURN: 2 * INTERVAL_S,  # the group of the spec records, then the shared one
    "FailureRateHigh": INTERVAL_S,
    "Counts": INTERVAL_S,
    CONSUMED: ROLLUP_S + SLOW_S,
}
"""One evaluation of each group on the way to an alert. Engines evaluate each group at instants of their own."""
DELAY_S = {"victoriametrics": 12}
"""What the rules of an engine add: raw counters are read as of 5 s ago, and a second stage comes 7 s later."""
POLL_S = 2
RATIO = f'max without ({names.PROFILE}) ({names.ERROR_RATIO}{{{names.WINDOW}="{names.BUDGET_WINDOW}"}})'


def far_apart(alert: str, engine: str, late_s: float) -> bool:
    """Whether an alert fired so much later than in Prometheus, or earlier, that evaluations cannot explain it."""
    evaluations_s = EVALUATIONS_S[alert] + POLL_S
    return not -evaluations_s <= late_s <= evaluations_s + DELAY_S.get(engine, 0)


class Seen(Struct):
    """What one engine made of the incident. `fired` is in seconds since the incident began."""

    engine: str
    fired: dict[str, float] = field(default_factory=dict)
    ratio: float = 0.0  # the recorded ratio over 30 days
    truth: float = 0.0
    samples_per_minute: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def error(self) -> float:
        """How far the ratio is from the truth, relative."""
        return self.ratio / self.truth - 1


@contextlib.contextmanager
def _started(name: str, generation: Generation, directory: Path) -> Iterator[Engine]:
    starts: dict[str, Callable[[], contextlib.AbstractContextManager[Engine]]] = {
        "prometheus": lambda: servers.prometheus(generation, directory),
        "victoriametrics": lambda: servers.victoria_metrics(directory),
        "thanos": lambda: thanos.thanos(generation, directory),
        "cortex": lambda: cortex.cortex(directory),
        "mimir": lambda: mimir.mimir(directory),
    }
    with starts[name]() as engine:
        yield engine


@contextlib.contextmanager
def _evaluating(engine: Engine) -> Iterator[None]:
    """The engine with the rules that `generate --target` writes for it."""
    if engine.name == "mimir":
        mimir.upload(engine, mimir.write_uploads(engine.directory / "uploads"))
        yield
        return
    rules = write_rules(engine.name, engine.directory)
    if engine.name == "victoriametrics":
        with servers.vmalert(engine, rules):
            yield
    elif engine.name == "thanos":
        with thanos.ruler(engine, rules):
            yield
    else:
        load = cortex.load if engine.name == "cortex" else servers.load_into_prometheus
        load(engine, rules)
        yield


def tell(generation: Generation, directory: Path, others: Sequence[str]) -> list[Seen]:
    """Run the incident in Prometheus and in other engines; Prometheus comes first."""
    world = servers.world_until_now(*others)
    with contextlib.ExitStack() as stack:
        engines = [
            stack.enter_context(_started(name, generation, directory / name)) for name in ("prometheus", *others)
        ]
        machines = [engine.machine for engine in engines]
        past = world.past()
        for machine in machines:
            for series in past:
                machine.remote_write([series])
        with world.scraping(machines):
            for engine in engines:
                engine.machine.remote_write(list(world.recorded_between(world.end, time.time())))
                stack.enter_context(_evaluating(engine))
        world.live_until(lambda: all(map(_burns, engines)), machines, START_DEADLINE_S, "a recorded hour everywhere")
        return _incident(world, engines)


def _incident(world: World, engines: Sequence[Engine]) -> list[Seen]:
    machines = [engine.machine for engine in engines]
    began, clock = time.time(), time.monotonic()
    world.steps += [(began, 1.0), (began + INCIDENT_S, LONG_AGO)]
    seen = [Seen(engine=engine.name) for engine in engines]
    before = [(engine.samples_read(), time.monotonic()) for engine in engines]

    def all_fired() -> bool:
        for engine, found in zip(engines, seen, strict=True):
            for name in firing(engine):
                found.fired.setdefault(name, time.monotonic() - clock)
        return all(found.fired.keys() >= set(ALERTS) for found in seen)

    try:
        world.live_until(all_fired, machines, ALERTS_DEADLINE_S, "every alert")
    except DeadlinePassedError as error:
        error.add_note(str(seen))
        raise
    settled_at = began + INCIDENT_S + SETTLED_S
    world.live_until(lambda: time.time() > settled_at, machines, 2 * SETTLED_S, "all have counted the incident")
    now = time.time()
    for engine, found, (samples, at) in zip(engines, seen, before, strict=True):
        found.samples_per_minute = (engine.samples_read() - samples) / (time.monotonic() - at) * 60
        found.ratio = engine.value(RATIO, now) or 0.0
        found.truth = world.ratio(now, 30 * 86_400)
        rules = [rule for group in engine.rule_groups() for rule in group["rules"]]
        found.broken = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]
    return seen


def _burns(engine: Engine) -> bool:
    """Whether the ratio over an hour was recorded by the engine's own ruler."""
    found = engine.value(f'{names.ERROR_RATIO}{{{names.WINDOW}="1h"}}', time.time())
    return found is not None


def firing(engine: Engine) -> list[str]:
    """The firing alerts, each with its tier or its part of the budget."""
    found = []
    for alert in engine.alerts():
        labels = alert["labels"]
        extra = labels.get(names.TIER) or labels.get(names.BUDGET_CONSUMED_LABEL) or ""
        if alert["state"] == "firing":
            found.append(f"{labels['alertname']} {extra}".strip())
    return found
