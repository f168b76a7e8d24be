"""The shipped specs of slos/ on this machine: only paths, commands and addresses are replaced; every time stays."""

import contextlib
import http.client
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from release.store.database import Database
from tests.acceptance.receiver.harness import Site, receiver, script
from tests.acceptance.release.rollouts import Rollouts
from tests.acceptance.release.served import loaded
from tests.acceptance.release.shop import haproxy, write_policy
from tests.balancers import free_ports
from tests.tools import ROOT, Generation, prometheus_server

CONNECTIONS = 10

HAPROXY = """\
global
  stats socket {socket} level admin
  hard-stop-after 1s
defaults
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 20s
  default-server check inter 300ms fall 2 rise 1
backend {service}
  balance roundrobin
  option httpchk GET /health
  server {stable} 127.0.0.1:{stable_port} weight 100
  server {canary} 127.0.0.1:{canary_port} weight 0
frontend front
  bind 127.0.0.1:{front}
  default_backend {service}
"""


class System(Struct, frozen=True, kw_only=True):
    """One shipped spec: its file, its service, the names of its servers in HAProxy, and its channel beside the log.

    `request` is what the load sends. `times` are replacements in the spec for a short test: only times belong there.
    """

    file: str
    service: str
    servers: tuple[str, str]
    channel: str
    per_second: float
    request: str = "GET /order HTTP/1.1\r\nHost: shop\r\n\r\n"
    times: Mapping[str, str] = {}

    def here(self, root: Path) -> str:
        """The spec with this machine's paths. Everything else is as shipped."""
        text = (ROOT / "slos" / self.file).read_text()
        scripts = {
            "rollback.sh": "rollback.sh",
            "is-rolled-back.sh": "verify.sh",
            "current-release.sh": "current.sh",
            "deploy.sh": "deploy.sh",
        }
        paths = {f"/opt/{self.service}/{name}": f"{root}/service/{own}" for name, own in scripts.items()}
        paths["/run/haproxy/admin.sock"] = f"{root}/admin.sock"
        paths[f"/var/lib/freezeline-flags/{self.service}/"] = f"{root}/flags/"
        for shipped, own in {**paths, **self.times}.items():
            assert shipped in text or shipped in paths, shipped
            text = text.replace(shipped, own)
        assert "/opt/" not in text
        return text


class Ports(Struct, frozen=True, kw_only=True):
    """Where the two sides and HAProxy's front listen."""

    front: int
    stable: int
    canary: int


def free() -> Ports:
    """Ports that nothing listens on now."""
    front, stable, canary = free_ports(3)
    return Ports(front=front, stable=stable, canary=canary)


def targets(path: Path, port: int, labels: Mapping[str, str]) -> None:
    """A file for Prometheus' `file_sd_configs`, as a deployment writes it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": dict(labels)}]))
    fresh.replace(path)


def split(port: int, requests: int) -> Counter[str]:
    """Send requests over one connection after the other, and count the answers by their text."""
    found: Counter[str] = Counter()
    for _ in range(CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            for _ in range(requests // CONNECTIONS):
                connection.request("GET", "/order")
                found[connection.getresponse().read().decode().strip()] += 1
        finally:
            connection.close()
    return found


def deploy_s(service: Rollouts) -> float:
    """How long the newest rollout's deploy command took, as the engine recorded its beginning and its end."""
    return _between(service, "deploy", "shift")


def rollback_s(service: Rollouts) -> float:
    """How long the newest rollout took from the decision to abort until everything was taken back."""
    return _between(service, "aborting", "rolled_back")


def _between(service: Rollouts, begin: str, end: str) -> float:
    with contextlib.closing(Database(service.path, writes=False)) as database:
        steps = database.steps(next(iter(database.rollouts(1))).id)
    at = {one.phase: one.at for one in reversed(steps)}
    return at[end] - at[begin]


def remembered(generation: Generation, folder: Path, past: str) -> None:
    """Put blocks with the past into the folder of a Prometheus that has not started yet."""
    folder.mkdir()
    (folder / "past.txt").write_text(past)
    made = [str(generation.promtool), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=168h"]
    subprocess.run([*made, "past.txt", "data"], cwd=folder, check=True, capture_output=True, timeout=60)


@contextlib.asynccontextmanager
async def opened(
    system: System,
    root: Path,
    generation: Generation,
    ports: Ports,
    *,
    scrapes: Mapping[str, Any],
    scripts: Mapping[str, str],
    past: str = "",
) -> AsyncIterator[Rollouts]:
    """HAProxy, load, Prometheus and the receiver, for the two sides that the caller has started.

    `past` is what Prometheus recorded before, in OpenMetrics' format.
    """
    channels = {name: {"type": "log"} for name in ("log", system.channel)}
    site = Site(root=root, settings={"channels": channels})
    (root / "policy" / "gateway.policy.json").unlink()
    for name, text in scripts.items():
        script(root / "service" / name, text)
    rules = write_policy(root, system.here(root), root / "policy" / f"{system.service}.policy.json")
    stable, canary = system.servers
    config, admin = root / "haproxy.cfg", root / "admin.sock"
    config.write_text(
        HAPROXY.format(
            socket=admin,
            service=system.service,
            stable=stable,
            canary=canary,
            stable_port=ports.stable,
            canary_port=ports.canary,
            front=ports.front,
        )
    )
    prometheus_yaml = json.dumps({"rule_files": [f"{rules}/*.yml"], **scrapes})
    with contextlib.ExitStack() as stack:
        stack.enter_context(haproxy(config, admin))
        if past:
            remembered(generation, root / "prometheus", past)
        prometheus = stack.enter_context(prometheus_server(generation, root / "prometheus", prometheus_yaml))
        site.settings["prometheus"] = {"url": prometheus.url}
        (root / "receiver.yaml").write_text(json.dumps(site.settings))
        answers: Counter[str] = stack.enter_context(loaded(ports.front, system.per_second, system.request))
        async with receiver(site) as running:
            yield Rollouts(
                site=site,
                front=ports.front,
                socket=admin,
                prometheus=prometheus,
                answers=answers,
                receiver=running,
                service=system.service,
                servers=system.servers,
            )
