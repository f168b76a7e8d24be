"""Cortex in one process, with its ruler reading rule files from a folder."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.history import TimeMachine
from tests.balancers import free_ports
from tests.engines.servers import Engine, program_of, running

TENANT = "fake"  # where authentication is off
IN_MEMORY = {"kvstore": {"store": "inmemory"}}


def _config(http: int, grpc: int, directory: Path) -> dict[str, object]:
    """JSON is YAML. The past is 30 days old, so samples out of order are taken."""
    local = {"instance_addr": "127.0.0.1", "instance_interface_names": ["lo"]}
    return {
        "auth_enabled": False,
        "target": "all",
        "server": {
            "http_listen_address": "127.0.0.1",
            "http_listen_port": http,
            "grpc_listen_address": "127.0.0.1",
            "grpc_listen_port": grpc,
            "grpc_server_max_recv_msg_size": 2**27,
            "grpc_server_max_send_msg_size": 2**27,
        },
        "ingester_client": {"grpc_client_config": {"max_recv_msg_size": 2**27, "max_send_msg_size": 2**27}},
        "distributor": {"shard_by_all_labels": True, "remote_timeout": "60s", "ring": IN_MEMORY | local},
        "ingester": {
            "lifecycler": {
                "address": "127.0.0.1",
                "min_ready_duration": "0s",
                "final_sleep": "0s",
                "num_tokens": 512,
                "ring": {**IN_MEMORY, "replication_factor": 1},
            }
        },
        "blocks_storage": {
            "backend": "filesystem",
            "filesystem": {"dir": str(directory / "blocks")},
            "tsdb": {"dir": str(directory / "tsdb"), "retention_period": "1440h"},
            "bucket_store": {"sync_dir": str(directory / "sync")},
        },
        "compactor": {"data_dir": str(directory / "compactor"), "sharding_ring": IN_MEMORY},
        "ruler": {
            "enable_api": True,
            "rule_path": str(directory / "evaluated"),
            "poll_interval": "1s",
            "ring": IN_MEMORY | local,
        },
        "ruler_storage": {"backend": "local", "local": {"directory": str(directory / "loaded")}},
        "alertmanager": {"external_url": "http://localhost/alertmanager"},
        "alertmanager_storage": {"backend": "local", "local": {"path": str(directory / "alerts")}},
        "limits": {"out_of_order_time_window": "1440h", "ingestion_rate": 1e6, "ingestion_burst_size": 10**7},
    }


@contextlib.contextmanager
def cortex(directory: Path) -> Iterator[Engine]:
    """A single Cortex."""
    http, grpc = free_ports(2)
    directory.mkdir(parents=True)
    for name in ("loaded", "alerts"):
        (directory / name / TENANT).mkdir(parents=True)
    (directory / "cortex.yaml").write_text(json.dumps(_config(http, grpc, directory)))
    url = f"http://127.0.0.1:{http}"
    argv: list[str | Path] = [program_of("cortex", "cortex"), f"-config.file={directory / 'cortex.yaml'}"]
    with running(argv, directory, "cortex", f"{url}/ready") as process:
        machine = TimeMachine(f"{url}/prometheus", write_url=f"{url}/api/v1/push")
        yield Engine(
            name="cortex",
            machine=machine,
            directory=directory,
            ruler=f"{url}/prometheus",
            metrics=url,
            processes=[process],
        )


def load(engine: Engine, rules: Path) -> None:
    """Put the rule files where Cortex' ruler finds them within a second."""
    for path in rules.iterdir():
        shutil.copy(path, engine.directory / "loaded" / TENANT / path.name)
