"""Grafana Mimir in one process. Its own tool uploads the rules, as docs/engines.md says."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.history import TimeMachine
from generator.engines import uploads
from tests.balancers import free_ports
from tests.engines.servers import Engine, program_of, running
from tests.engines.world import SCOPE, rule_files

TENANT = "anonymous"  # where authentication is off
UPLOAD_DEADLINE_S = 60
IN_MEMORY = {"kvstore": {"store": "inmemory"}, "instance_addr": "127.0.0.1", "instance_interface_names": ["lo"]}


def _config(http: int, grpc: int, directory: Path) -> dict[str, object]:
    """JSON is YAML. The past is 30 days old, so samples out of order are taken, and ingesters answer for all of it.

    Limits on groups are those that Mimir ships.
    """
    return {
        "multitenancy_enabled": False,
        "target": "all",
        "usage_stats": {"enabled": False},
        "server": {
            "http_listen_address": "127.0.0.1",
            "http_listen_port": http,
            "grpc_listen_address": "127.0.0.1",
            "grpc_listen_port": grpc,
        },
        "distributor": {"ring": IN_MEMORY},
        "ingester": {
            "ring": {**IN_MEMORY, "replication_factor": 1, "min_ready_duration": "0s", "final_sleep": "0s"},
        },
        "store_gateway": {"sharding_ring": {**IN_MEMORY, "replication_factor": 1}},
        "compactor": {"data_dir": str(directory / "compactor"), "sharding_ring": IN_MEMORY},
        "query_scheduler": {"ring": IN_MEMORY},
        "frontend": {"address": "127.0.0.1"},
        "common": {"storage": {"backend": "filesystem"}},
        "blocks_storage": {
            "filesystem": {"dir": str(directory / "blocks")},
            "tsdb": {"dir": str(directory / "tsdb"), "retention_period": "1440h"},
            "bucket_store": {"sync_dir": str(directory / "sync")},
        },
        "ruler": {"rule_path": str(directory / "evaluated"), "poll_interval": "1s", "ring": IN_MEMORY},
        "ruler_storage": {"filesystem": {"dir": str(directory / "rules")}},
        "limits": {
            "out_of_order_time_window": "1440h",
            "query_ingesters_within": "0s",
            "ruler_evaluation_delay_duration": "0s",
            "ingestion_rate": 1e6,
            "ingestion_burst_size": 10**7,
        },
    }


@contextlib.contextmanager
def mimir(directory: Path) -> Iterator[Engine]:
    """A single Mimir."""
    http, grpc = free_ports(2)
    directory.mkdir(parents=True)
    (directory / "mimir.yaml").write_text(json.dumps(_config(http, grpc, directory)))
    url = f"http://127.0.0.1:{http}"
    argv: list[str | Path] = [program_of("mimir", "mimir"), f"-config.file={directory / 'mimir.yaml'}"]
    with running(argv, directory, "mimir", f"{url}/ready") as process:
        yield Engine(
            name="mimir",
            machine=TimeMachine(f"{url}/prometheus", write_url=f"{url}/api/v1/push"),
            directory=directory,
            ruler=f"{url}/prometheus",
            metrics=url,
            processes=[process],
        )


def write_uploads(directory: Path) -> list[Path]:
    """The rules as the files that `generate --target mimir --format upload` writes."""
    files = rule_files("mimir")
    outputs = {file.path: file.content()[0] for file in files}
    directory.mkdir(parents=True)
    written = []
    for path, content in uploads.wrap(outputs, files, SCOPE).items():
        written.append(directory / Path(path).name)
        written[-1].write_bytes(content)
    return written


def upload(engine: Engine, files: list[Path]) -> None:
    """Upload rule files with mimirtool."""
    url = engine.metrics
    argv = [str(program_of("mimir", "mimirtool")), "rules", "sync", f"--address={url}", f"--id={TENANT}"]
    ran = subprocess.run(
        [*argv, *map(str, files)], capture_output=True, text=True, timeout=UPLOAD_DEADLINE_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
