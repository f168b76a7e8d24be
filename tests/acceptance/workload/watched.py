"""A shipped spec watches services of the workload: real Prometheus and Alertmanager, and a sink in the place of people.

The durations of the spec may be divided by `faster`, all of them alike; thresholds and counts stay as shipped.
"""

import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
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

POLL_S = 0.2
"""How often Prometheus is asked whether an alert fires: ten machines may run beside each other."""

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

    def active(self) -> set[str]:
        """The alerts that are pending or fire, but for those about SLOs and about Freezeline."""
        names = {one["labels"]["alertname"] for one in self.prometheus.alerts()}
        return {name for name in names if not name.startswith(OTHERS)}

    def fired_since(self, since: float) -> set[str]:
        """The alerts that have fired since then, but for those about SLOs and about Freezeline."""
        query = f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{int(time.time() - since)}s]))'
        names = {one["metric"]["alertname"] for one in self.prometheus.query(query)}
        return {name for name in names if not name.startswith(OTHERS)}

    def active_since(self, name: str) -> float:
        """When the condition of an alert became true, and has been true since; in Unix seconds."""
        times = [one["activeAt"] for one in self.prometheus.alerts() if one["labels"]["alertname"] == name]
        return min(datetime.fromisoformat(text).timestamp() for text in times)

    def fired_at(self, name: str, since: float) -> float:
        """When an alert first fired after `since`, in Unix seconds: the time of the evaluation."""
        window_s = int(time.time() - since) + 1
        found = self.prometheus.query(f'ALERTS{{alertname="{name}",alertstate="firing"}}[{window_s}s]')
        return min(float(at) for one in found for at, _ in one["values"] if float(at) >= since)

    def rose(self, query: str, since: float, until: float) -> float:
        """When the value of a query first rose, to a tenth of a second."""
        params = {"query": query, "start": f"{since:.1f}", "end": f"{until:.1f}", "step": "0.1"}
        (series,) = self.prometheus.get("/api/v1/query_range", params)["data"]["result"]
        samples = [(float(at), float(value)) for at, value in series["values"]]
        lowest = itertools.accumulate((value for _, value in samples), min)  # a counter begins anew with its process
        return next(at for (at, value), low in zip(samples, lowest, strict=True) if value > low)


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
    up: int,
    webhook: str = "",
    token: str = "",
) -> Iterator[Watched]:
    """Prometheus and Alertmanager of a shipped spec, with everything loaded. `targets`: job → ports.

    `up` targets run, and have been scraped: a counter whose first sample is already high never grew.
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
        wait_until(lambda: prometheus.query(f"count(up == 1) >= {up}"), 60, "the services are scraped")
        yield found


class Sight(Struct, frozen=True, kw_only=True):
    """When an alert fired: after the fault began, after the alert became pending, after the first bad sample."""

    alert: str
    after_s: float
    pending_s: float
    bad_s: float | None

    def __str__(self) -> str:
        bad = "" if self.bad_s is None else f", {self.bad_s:.1f} s after the first bad sample"
        return f"{self.alert}: fires {self.after_s:.1f} s after the fault, pending for {self.pending_s:.1f} s{bad}"


def expect(
    watched: Watched,
    name: str,
    receivers: Sequence[str],
    *,
    since: float,
    within_s: float,
    repeat: "Repeat",
    bad: str = "",
) -> Sight:
    """Wait until the alert fires and every receiver has heard of it; nothing else may fire. The fault began at `since`.

    The value of the query `bad` rises with the first bad sample.
    """
    earlier = len(watched.sink.posts())

    def told() -> set[tuple[str, str]]:
        posts = watched.sink.posts()[earlier:]
        return {
            (alert["labels"]["alertname"], post.path.strip("/"))
            for post in posts
            for alert in post.body["alerts"]
            if alert["status"] == "firing"
        }

    def fires() -> bool:
        repeat.check()
        firing = watched.firing()
        assert firing <= {name}, f"{firing} while {name} is expected"
        return firing == {name}

    wait_until(fires, within_s, f"{name} fires", poll_s=POLL_S)
    active_at = watched.active_since(name)
    wanted = {(name, receiver) for receiver in receivers}
    wait_until(lambda: wanted <= told(), 60, f"{receivers} hear of {name}: {told()}")
    others = {one for one in told() - wanted if not one[0].startswith(OTHERS)}
    assert others == set(), json.dumps(sorted(others))
    fired_at = watched.fired_at(name, since)
    return Sight(
        alert=name,
        after_s=fired_at - since,
        pending_s=fired_at - active_at,
        bad_s=fired_at - watched.rose(bad, since, fired_at) if bad else None,
    )


class Repeat:
    """Repeats acts in threads until `end`. An act that fails fails the test."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed: list[Exception] = []

    def every(self, seconds: float, act: Callable[[], object], *, later_s: float = 0) -> None:
        """Begin to repeat an act, a while later: users do not come in step."""
        ended = self._ended

        def loop() -> None:
            ended.wait(later_s)
            while not ended.wait(seconds):
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - raised by `check`
                    self._failed.append(error)
                    return

        self._threads.append(threading.Thread(target=loop))
        self._threads[-1].start()

    def check(self) -> None:
        """Raise what an act raised."""
        for error in self._failed:
            raise error

    def end(self) -> None:
        """Stop all acts. Others may be repeated afterwards."""
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        self._ended, self._threads = threading.Event(), []
        self.check()
