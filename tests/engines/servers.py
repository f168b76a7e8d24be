"""Servers of each engine, on free ports of the loopback, as a user would start them with our rules."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from benchmarks.history import TimeMachine
from devtools.prometheus_tools import built
from devtools.steps import SetupError
from tests.balancers import free_ports
from tests.engines.world import INTERVAL_S, World
from tests.tools import Generation, Server, gone_with_us, missing_is_an_error, prometheus_server, request, stop
from tests.waiting import wait_until

START_DEADLINE_S = 90.0
PROMETHEUS_CONFIG = "storage: {tsdb: {out_of_order_time_window: 60d}}\n"
PROMETHEUS_FLAGS = ("--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d")


SAMPLES_READ = {
    "victoriametrics": "vm_rows_scanned_per_query_sum",
    "mimir": "cortex_ingester_queried_samples_sum",  # Mimir's own engine leaves Prometheus' counter at zero
}
"""The counter of samples, where it is not Prometheus' own."""


class Engine(Struct):
    """A running engine: where samples go and queries are answered, and where its ruler tells of alerts."""

    name: str
    machine: TimeMachine
    directory: Path
    ruler: str = ""
    querier: str = ""  # answers queries, where another server takes the samples
    ruler_grpc: int = 0  # where the querier expects Thanos Ruler
    metrics: str = ""  # where the engine counts the samples that queries read
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts, as the ruler's API gives them."""
        data: dict[str, Any] = Server.get(self._api(), "/api/v1/alerts")["data"]
        return list(data.get("alerts") or data.get("Alerts") or ())  # Thanos Ruler's own spelling, and null for none

    def rule_groups(self) -> list[dict[str, Any]]:
        """The ruler's groups, with the health of each rule."""
        data: dict[str, Any] = Server.get(self._api(), "/api/v1/rules")["data"]
        return list(data.get("groups") or ())

    def _api(self) -> Server:
        return Server(url=self.ruler, directory=self.directory, log=self.directory, process=self.processes[0])

    def samples_read(self) -> float:
        """How many samples queries have read since the engine's start, as the engine itself counts."""
        counter = SAMPLES_READ.get(self.name, "prometheus_engine_query_samples_total")
        lines = request("GET", f"{self.metrics}/metrics").decode().splitlines()
        found = [line for line in lines if line.startswith(counter)]
        assert found, f"{self.metrics}/metrics has no {counter}"
        return sum(float(line.split()[-1]) for line in found)

    def value(self, expr: str, at: float) -> float | None:
        """The only value of a query; None if there is none."""
        machine = TimeMachine(self.querier) if self.querier else self.machine
        found = machine.query(expr, at)
        assert len(found) < 2, (expr, found)
        return found[0][1] if found else None


def world_until_now(*products: str) -> World:
    """A world whose past ends now. Go builds the products first: after a build, the past would be minutes old."""
    for product in products:
        _folder_of(product)
    return World(end=time.time() // INTERVAL_S * INTERVAL_S)


def program_of(product: str, command: str) -> Path:
    """A program that Go builds. Without it the test fails in CI and is skipped elsewhere."""
    return _folder_of(product) / command


def _folder_of(product: str) -> Path:
    try:
        return built(product, os.environ)
    except SetupError as error:
        if missing_is_an_error():
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path], directory: Path, name: str, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server from start to end, ready once a URL answers."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            env=None if environment is None else {**os.environ, **environment},
        )
    try:
        with gone_with_us(process):
            wait_until(lambda: _answers(process, ready, log), START_DEADLINE_S, f"{name} is ready (log: {log})")
            yield process
    finally:
        stop(process)


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    if process.poll() is not None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{tail}")
    try:
        request("GET", url)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


@contextlib.contextmanager
def prometheus(generation: Generation, directory: Path) -> Iterator[Engine]:
    """Prometheus itself, without rules at first."""
    with prometheus_server(generation, directory, PROMETHEUS_CONFIG, flags=PROMETHEUS_FLAGS) as server:
        yield Engine(
            name="prometheus",
            machine=TimeMachine(server.url),
            directory=directory,
            ruler=server.url,
            metrics=server.url,
            processes=[server.process],
        )


def load_into_prometheus(engine: Engine, rules: Path) -> None:
    """Have Prometheus evaluate rule files."""
    config = f"{PROMETHEUS_CONFIG}rule_files: ['{rules}/*.yml']\n"
    (engine.directory / "prometheus.yml").write_text(config)
    request("POST", f"{engine.ruler}/-/reload")


@contextlib.contextmanager
def victoria_metrics(directory: Path) -> Iterator[Engine]:
    """A single VictoriaMetrics. The query parameters are those that vmalert sends with our rules."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    argv: list[str | Path] = [
        program_of("victoriametrics", "victoria-metrics"),
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={directory / 'data'}",
        "-retentionPeriod=100d",
    ]
    with running(argv, directory, "victoria-metrics", f"{url}/health") as process:
        machine = TimeMachine(url, params={"step": "5m", "latency_offset": "1ms"})
        yield Engine(name="victoriametrics", machine=machine, directory=directory, metrics=url, processes=[process])


def flush_victoria_metrics(engine: Engine) -> None:
    """Make what was written visible, and forget what was cached before."""
    for path in ("/internal/force_flush", "/internal/resetRollupResultCache"):
        request("GET", f"{engine.machine.url}{path}")


@contextlib.contextmanager
def vmalert(engine: Engine, rules: Path) -> Iterator[None]:
    """Vmalert with its defaults, and our rules."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    database = engine.machine.url
    argv: list[str | Path] = [
        program_of("victoriametrics", "vmalert"),
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-rule={rules}/*.yml",
        f"-datasource.url={database}",
        f"-remoteWrite.url={database}",
        f"-remoteRead.url={database}",
        "-notifier.blackhole",
        "-disableAlertgroupLabel",
    ]
    with running(argv, engine.directory, "vmalert", f"{url}/health") as process:
        engine.ruler = url
        engine.processes.append(process)
        yield
