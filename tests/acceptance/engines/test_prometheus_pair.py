"""Two Prometheus servers with the same rules and shifted scrapes: the same budgets, one freeze and one rollback."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.history import TimeMachine
from freezeline.cli import main
from generator import names
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.balancers import free_ports
from tests.engines import servers, thanos
from tests.engines.servers import Engine
from tests.engines.world import LONG_AGO, SCOPE, World, spec_text
from tests.tools import AlertmanagerServer, Generation, alertmanager_server, prometheus_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(1500)]

SAME = 0.001
SHIFT_S = 2.3
INCIDENT_S = 60
DEADLINE_S = 120.0
SETTLED_S = 510  # a rollup and a slow evaluation of both after the incident
REMAINING = f'max without ({names.PROFILE}) ({names.ERROR_RATIO}{{{names.WINDOW}="{names.BUDGET_WINDOW}"}})'


@pytest.mark.parametrize("above", ["", "thanos"])
@pytest.mark.parametrize("generation", ["current"], indirect=True)
async def test_a_pair_is_one(generation: Generation, above: str, tmp_path: Path) -> None:
    """Budgets within 0.1 % of the truth, also through a querier above; Alertmanager and receiver see one alert."""
    site = Site(root=tmp_path / "site")
    generated = tmp_path / "generated"
    world = servers.world_until_now(*filter(None, [above]))
    later = World(end=world.end, shift_s=SHIFT_S)
    later.steps = world.steps
    async with receiver(site) as running, alertmanagers(generation, tmp_path, running, generated) as managers:
        with contextlib.ExitStack() as stack:
            pair = [
                stack.enter_context(replica(generation, tmp_path / name, name, generated, managers))
                for name in ("a", "b")
            ]
            queriers = [stack.enter_context(thanos.querier_of(pair, tmp_path / "thanos"))] if above else []
            for seen, engine in zip((world, later), pair, strict=True):
                for series in seen.past():
                    engine.machine.remote_write([series])

            def scrape() -> None:
                for seen, engine in zip((world, later), pair, strict=True):
                    seen.push([engine.machine], time.time())

            began = time.time()
            world.steps += [(began, 1.0), (began + INCIDENT_S, LONG_AGO)]

            def acted() -> bool:
                scrape()
                return site.flag.exists() and bool(site.lines("rollbacks"))

            await until(acted, DEADLINE_S, "frozen and rolled back")

            def both_fired() -> bool:
                scrape()
                return all(name_fires(engine) for engine in pair)

            await until(both_fired, DEADLINE_S, "both servers fire")

            def settled() -> bool:
                scrape()
                return time.time() > began + INCIDENT_S + SETTLED_S

            await until(settled, INCIDENT_S + SETTLED_S + DEADLINE_S, "both have counted the incident")
            now = time.time()
            ratios = [engine.value(REMAINING, now) for engine in (*pair, *queriers)]
            truth = world.ratio(now, 30 * 86_400)
            print(ratios, truth)
            assert ratios == pytest.approx([truth] * len(ratios), rel=SAME)
            assert site.lines("rollbacks") == ["v2"]
            episodes = "SELECT count(*) FROM episode WHERE rule = 'failure-rate-high'"
            assert site.rows(episodes) == [(1,)]
            frozen = "SELECT count(*) FROM action WHERE type = 'freeze'"
            assert site.rows(frozen) == [(1,)]


def name_fires(engine: Engine) -> bool:
    """Whether the alert that the policy is about was recorded as firing by this server."""
    query = 'count_over_time(ALERTS{alertname="FailureRateHigh",alertstate="firing"}[10m])'
    return bool(engine.value(f"max({query})", time.time()))


@contextlib.contextmanager
def replica(
    generation: Generation, directory: Path, name: str, generated: Path, managers: Sequence[AlertmanagerServer]
) -> Iterator[Engine]:
    """One server of the pair, with the part of its configuration that `generate` wrote."""
    config: dict[str, Any] = yaml.safe_load((generated / "rules/alertmanager/prometheus-pair.yml").read_text())
    assert config["alerting"]["alert_relabel_configs"] == [{"action": "labeldrop", "regex": "replica"}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [one.address for one in managers]}]}]
    config["global"] = {"external_labels": {"replica": name}}
    config["storage"] = {"tsdb": {"out_of_order_time_window": "60d"}}
    config["rule_files"] = [f"{generated}/rules/gateway.rules.yml", f"{generated}/rules/shared.*.rules.yml"]
    with prometheus_server(generation, directory, json.dumps(config), flags=servers.PROMETHEUS_FLAGS) as server:
        machine = TimeMachine(server.url)
        yield Engine(name=name, machine=machine, directory=directory, ruler=server.url, processes=[server.process])


@contextlib.asynccontextmanager
async def alertmanagers(
    generation: Generation, directory: Path, running: Receiver, generated: Path
) -> AsyncIterator[list[AlertmanagerServer]]:
    """Two Alertmanagers in a cluster, with the generated configuration; both send to the receiver."""
    spec, secrets = directory / "gateway.yaml", directory / "secrets"
    spec.write_bytes(spec_text())
    secrets.mkdir()
    (secrets / "freezeline-webhook").write_text(running.site.token("webhook"))
    argv = ["generate", str(spec), "-o", str(generated), "--scope", SCOPE, "--replica-label", "replica"]
    argv += ["--webhook-url", f"{running.url}/webhook", "--secrets", str(secrets)]
    assert main(argv) == 0
    config = routes_to(f"{running.url}/webhook", secrets / "freezeline-webhook")
    first, second = free_ports(2)
    flags = [
        [f"--cluster.listen-address=127.0.0.1:{own}", f"--cluster.peer=127.0.0.1:{other}"]
        for own, other in ((first, second), (second, first))
    ]
    with (
        alertmanager_server(generation, directory / "am-1", config, flags=flags[0]) as one,
        alertmanager_server(generation, directory / "am-2", config, flags=flags[1]) as two,
    ):
        yield [one, two]


def routes_to(url: str, token: Path) -> str:
    """A configuration that sends every alert to the receiver at once."""
    hook = {"url": url, "http_config": {"authorization": {"credentials_file": str(token)}}, "send_resolved": True}
    route = {
        "receiver": "freezeline",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "10s",
        "repeat_interval": "5m",
    }
    return json.dumps({"route": route, "receivers": [{"name": "freezeline", "webhook_configs": [hook]}]})
