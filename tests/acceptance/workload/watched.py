"""A shipped spec watches services of the workload: real Prometheus and Alertmanager, and a sink in the place of people.

The durations of the spec may be divided by `faster`, all of them alike; thresholds and counts stay as shipped.
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from generator import pipeline
from tests.acceptance.alertmanager.sink import Sink, running_sink
from tests.acceptance.alertmanager.systems import write_config
from tests.tools import ROOT, Generation, PrometheusServer, alertmanager_server, prometheus_server
from tests.waiting import wait_until

OTHERS = ("SLO", "Freezeline")
"""How the names of alerts begin that come from budgets, or from what watches Freezeline itself."""

SECONDS = {"s": 1, "m": 60, "h": 3600}
SCALED = re.compile(r"\b(interval|scrape|over|for|within): (\d+)([smh])\b")


class Watched(Struct, frozen=True, kw_only=True):
    """What watches."""

    prometheus: PrometheusServer
    sink: Sink

    def firing(self) -> set[str]:
        """The alerts that fire, but for those about SLOs and about Freezeline."""
        names = {one["labels"]["alertname"] for one in self.prometheus.alerts() if one["state"] == "firing"}
        return {name for name in names if not name.startswith(OTHERS)}

    def told(self) -> set[tuple[str, str]]:
        """Alert and receiver of Alertmanager, for each notification that was sent."""
        return {(name, post.path.strip("/")) for post in self.sink.posts() for name in post.alert_names()}


def faster_text(name: str, faster: int) -> str:
    """The shipped spec with its durations divided."""
    text = (ROOT / "slos" / f"{name}.yaml").read_text()
    head, actions, rest = text.partition("\nactions:") if "\nactions:" in text else text.partition("\nrouting:")

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * SECONDS[match[3]]
        return f"{match[1]}: {max(seconds // faster, 1)}s"

    return SCALED.sub(shorter, head) + actions + rest


@contextlib.contextmanager
def watched(
    name: str,
    generation: Generation,
    root: Path,
    targets: Mapping[str, Sequence[int]],
    *,
    faster: int,
    webhook: str = "",
    token: str = "",
) -> Iterator[Watched]:
    """Prometheus and Alertmanager of a shipped spec, with everything loaded. `targets`: job → ports.

    `webhook` is the address of a real receiver; without one, the sink takes its place.
    """
    loaded = pipeline.load_set([(f"slos/{name}.yaml", faster_text(name, faster).encode())], "slos")
    assert loaded.problems.errors == []
    for path, data in pipeline.render_set(loaded.output_set, ("rules",)).outputs.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (spec,) = loaded.output_set.specs
    scrape = f"{max(15 // faster, 1)}s" if name == "generation-service" else f"{max(5 // faster, 1)}s"
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(running_sink())

        def to_the_sink(config: dict[str, Any]) -> None:
            config["receivers"] = [
                receiver
                if receiver["name"] == "nobody" or (webhook and receiver["name"] == "freezeline")
                else {"name": receiver["name"], "webhook_configs": [{"url": f"{sink.url}/{receiver['name']}"}]}
                for receiver in config["receivers"]
            ]

        secrets = {"freezeline-webhook": token} if webhook else None
        text = write_config(
            root / "alertmanager",
            spec,
            webhook_url=webhook or "http://127.0.0.1:9",
            secrets=secrets,
            change=to_the_sink,
        )
        alertmanager = stack.enter_context(alertmanager_server(generation, root / "alertmanager", text))
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in targets.items()
        ]
        config = {
            "global": {"scrape_interval": scrape, "scrape_timeout": "1s", "evaluation_interval": scrape},
            "rule_files": [str(root / "rules" / "*.rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
            "scrape_configs": scrapes,
        }
        prometheus = stack.enter_context(prometheus_server(generation, root / "prometheus", yaml.safe_dump(config)))
        found = Watched(prometheus=prometheus, sink=sink)
        wait_until(lambda: prometheus.query("count(up == 1)"), 60, "the services are scraped")
        yield found


def expect(watched: Watched, name: str, receivers: Sequence[str], *, within_s: float) -> float:
    """Wait until the alert fires and every receiver has heard of it; nothing else may fire. Returns the seconds."""
    begun = time.monotonic()

    def fires() -> bool:
        firing = watched.firing()
        assert firing <= {name}, f"{firing} while {name} is expected"
        return firing == {name}

    wait_until(fires, within_s, f"{name} fires")
    took_s = time.monotonic() - begun
    wanted = {(name, receiver) for receiver in receivers}
    wait_until(lambda: wanted <= watched.told(), 60, f"{receivers} hear of {name}: {watched.told()}")
    others = {one for one in watched.told() - wanted if not one[0].startswith(OTHERS)}
    assert others == set(), json.dumps(sorted(others))
    return took_s


@contextlib.contextmanager
def repeated() -> Iterator[Callable[[float, Callable[[], object]], None]]:
    """Repeats acts in threads until the block ends. An act that fails ends its thread and the test."""
    ended, threads, failed = threading.Event(), list[threading.Thread](), list[BaseException]()

    def every(seconds: float, act: Callable[[], object]) -> None:
        def loop() -> None:
            while not ended.wait(seconds):
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - raised below
                    failed.append(error)
                    return

        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    try:
        yield every
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    assert failed == []
