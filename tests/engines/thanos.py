"""Thanos: a Prometheus with a sidecar, a querier that sees both it and the ruler, and the ruler itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.history import TimeMachine
from tests.balancers import free_ports
from tests.engines.servers import PROMETHEUS_CONFIG, PROMETHEUS_FLAGS, Engine, program_of, running
from tests.tools import Generation, prometheus_server

REPLICA = "replica"
LABELLED = f"global: {{external_labels: {{{REPLICA}: prometheus-a}}}}\n{PROMETHEUS_CONFIG}"


@contextlib.contextmanager
def thanos(generation: Generation, directory: Path) -> Iterator[Engine]:
    """Prometheus, sidecar and querier. The querier takes series that differ only in `replica` for one."""
    ports = free_ports(5)
    sidecar_http, sidecar_grpc, query_http, query_grpc, ruler_grpc = ports
    program = program_of("thanos", "thanos")
    with (
        prometheus_server(generation, directory / "prometheus", LABELLED, flags=PROMETHEUS_FLAGS) as below,
        running(
            [
                *(program, "sidecar", f"--prometheus.url={below.url}", f"--tsdb.path={below.directory / 'data'}"),
                *(f"--http-address=127.0.0.1:{sidecar_http}", f"--grpc-address=127.0.0.1:{sidecar_grpc}"),
            ],
            directory,
            "sidecar",
            f"http://127.0.0.1:{sidecar_http}/-/ready",
        ),
        running(
            [
                *(program, "query", f"--query.replica-label={REPLICA}"),
                *(f"--endpoint=127.0.0.1:{sidecar_grpc}", f"--endpoint=127.0.0.1:{ruler_grpc}"),
                *(f"--http-address=127.0.0.1:{query_http}", f"--grpc-address=127.0.0.1:{query_grpc}"),
            ],
            directory,
            "query",
            f"http://127.0.0.1:{query_http}/-/ready",
        ) as query,
    ):
        url = f"http://127.0.0.1:{query_http}"
        engine = Engine(
            name="thanos",
            machine=TimeMachine(below.url),
            directory=directory,
            metrics=url,
            processes=[query],
        )
        engine.querier = url
        engine.ruler_grpc = ruler_grpc
        yield engine


@contextlib.contextmanager
def ruler(engine: Engine, rules: Path) -> Iterator[None]:
    """Thanos Ruler with our rules. Its own label `replica` is dropped from alerts."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    argv: list[str | Path] = [
        *(program_of("thanos", "thanos"), "rule", f"--rule-file={rules}/*.yml", f"--query={engine.querier}"),
        *(f"--data-dir={engine.directory / 'rule'}", f'--label={REPLICA}="ruler-a"', f"--alert.label-drop={REPLICA}"),
        *(f"--http-address=127.0.0.1:{port}", f"--grpc-address=127.0.0.1:{engine.ruler_grpc}", "--tsdb.retention=45d"),
    ]
    with running(argv, engine.directory, "rule", f"{url}/-/ready") as process:
        engine.ruler = url
        engine.processes.append(process)
        yield


@contextlib.contextmanager
def querier_of(pair: Sequence[Engine], directory: Path) -> Iterator[Engine]:
    """A querier above several Prometheus servers that differ in `replica`."""
    program = program_of("thanos", "thanos")
    with contextlib.ExitStack() as stack:
        endpoints = []
        for engine in pair:
            http, grpc = free_ports(2)
            argv: list[str | Path] = [
                *(program, "sidecar", f"--prometheus.url={engine.ruler}", f"--tsdb.path={engine.directory / 'data'}"),
                *(f"--http-address=127.0.0.1:{http}", f"--grpc-address=127.0.0.1:{grpc}"),
            ]
            ready = f"http://127.0.0.1:{http}/-/ready"
            stack.enter_context(running(argv, directory, f"sidecar-{engine.name}", ready))
            endpoints.append(f"--endpoint=127.0.0.1:{grpc}")
        http, grpc = free_ports(2)
        url = f"http://127.0.0.1:{http}"
        argv = [
            *(program, "query", f"--query.replica-label={REPLICA}"),
            *endpoints,
            *(f"--http-address=127.0.0.1:{http}", f"--grpc-address=127.0.0.1:{grpc}"),
        ]
        process = stack.enter_context(running(argv, directory, "query", f"{url}/-/ready"))
        yield Engine(name="thanos", machine=TimeMachine(url), directory=directory, processes=[process])
