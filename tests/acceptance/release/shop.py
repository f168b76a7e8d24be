"""A shop in two real versions behind a real HAProxy, under load, seen by a real Prometheus, with a real receiver."""

import contextlib
import io
import json
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from freezeline.cli import main
from tests.acceptance.receiver.harness import Receiver, Site, receiver, script
from tests.acceptance.release.rollouts import Rollouts, Running, engine
from tests.acceptance.release.served import Version, loaded, served
from tests.balancers import free_ports
from tests.tools import Generation, PrometheusServer, gone_with_us, program, prometheus_server, stop
from tests.waiting import wait_until

__all__ = ["SPEC", "STAGES", "Running", "Shop", "Version", "engine", "haproxy", "kill", "opened", "write_policy"]

HAPROXY = """\
global
  stats socket {socket} level admin
  hard-stop-after 1s
defaults
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 20s
  {defaults}
backend shop
  balance roundrobin
  {backend}
  server stable 127.0.0.1:{stable} weight 100
  server canary 127.0.0.1:{canary} weight 0
frontend front
  bind 127.0.0.1:{front}
  default_backend shop
frontend metrics
  bind 127.0.0.1:{metrics}
  http-request use-service prometheus-exporter if {{ path /metrics }}
"""

PROMETHEUS = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}/*.yml]
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{stable}', '127.0.0.1:{canary}']}}]}}
  - {{job_name: haproxy, static_configs: [{{targets: ['127.0.0.1:{haproxy}']}}]}}
"""

# ruff: noqa: E501 - a gate is one line of YAML
# The balancer's gate sees every error too. On a busy machine the shop's own gates can take longer than five
# breaches of the balancer's gate: so the balancer's gate needs many.
SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {{team: shop}}
defaults: {{window: 30d, interval: 1s, scrape: 1s}}
slos:
  errors: {{objective: 99.5, sli: {{bad: 'shop_requests_total{{code=~"5.."}}', total: shop_requests_total}}}}
alerts:
  ShopBroken: {{when: 'max(shop_broken) > 0', for: 1s, severity: critical}}
  ShopWarned: {{when: 'max(shop_broken) > 1', for: 1s, severity: warning}}
policy:
  - {{on: {{severity: critical}}, do: [tell]}}
  - {{on: {{alert: ShopWarned}}, do: [tell]}}
actions:
  freeze: {{flag: {root}/flags/FREEZE.FLAG}}
  rollback:
    command: [{root}/service/rollback.sh]
    timeout: 60s
    verify: {{command: [{root}/service/verify.sh], timeout: 10s}}
    release: {{command: [{root}/service/current.sh]}}
  tell: {{channels: [log], fallback: [log]}}
canary:
  deploy: {{command: [{root}/service/deploy.sh], timeout: 30s}}
  release: {{command: [{root}/service/current.sh]}}
  traffic: {{haproxy: {{socket: {socket}, backend: shop, stable: stable, canary: canary}}}}
  start: {{gate: true}}
  every: 1s
  min_samples: 20
  evidence: off
  no_data: {{hold_for: 2m, then: abort}}
  stages:
{stages}
  gates:
    - {{id: errors, ratio: {{bad: 'shop_requests_total{{code=~"5..",version="$canary"}}', total: 'shop_requests_total{{version="$canary"}}'}}, over: 4s, max: 0.5%, consecutive: 3}}
    - {{id: p95, p95_of: 'shop_request_duration_seconds{{version="$canary"}}', over: 4s, max: 250ms, consecutive: 3}}
    - {{id: memory, query: 'max(shop_memory_ratio{{version="$canary"}})', max: 85%, consecutive: 2, samples: none}}
    - {{id: balancer, ratio: {{bad: 'haproxy_server_http_responses_total{{proxy="shop",server="canary",code="5xx"}}', total: 'haproxy_server_http_responses_total{{proxy="shop",server="canary"}}'}}, over: 4s, max: 0.5%, consecutive: 20}}
  abort_on: [{{severity: critical}}]
  on_abort: [freeze, rollback, tell]
gate:
  sources: {{flag: required, prometheus: required, receiver: optional}}
  checks:
    - {{id: not-frozen}}
    - {{id: no-critical, none_firing: {{severity: critical}}}}
"""

STAGES = """\
    - {weight: 10%, bake: 2s, then: {gate: true}}
    - {weight: 50%, bake: 2s, then: {gate: true}}
    - {weight: 100%, soak: 3s}"""


class Shop(Rollouts, kw_only=True):
    """The shop, with its two versions."""

    stable: Version
    canary: Version


@contextlib.contextmanager
def haproxy(config: Path, socket_path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running HAProxy in master-worker mode is not needed: a reload is a second process with `-sf`."""
    socket_path.unlink(missing_ok=True)
    argv = [str(program("haproxy")), "-db", "-f", str(config), *options]
    with (config.parent / "haproxy.log").open("ab") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=config.parent)
    with gone_with_us(process):
        wait_until(lambda: socket_path.exists() or process.poll() is not None, 20, "haproxy answers")
        try:
            yield process
        finally:
            stop(process)


def write_policy(root: Path, spec: str, target: Path) -> Path:
    """Compile a spec, and put its policy and rules in their places. Returns the folder of the rules."""
    (root / "spec").mkdir(exist_ok=True)
    path = root / "spec" / "shop.yaml"
    path.write_text(spec)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = main(["generate", str(path), "-o", str(root / "generated")])
    assert code == 0, output.getvalue()
    (made,) = (root / "generated" / "rules" / "policy").glob("*.policy.json")
    target.write_bytes(made.read_bytes())
    target.chmod(0o644)
    return root / "generated" / "rules"


def running_v1(root: Path, settings: dict[str, Any] | None = None) -> Site:
    """The shop's directory: v1 is deployed, and scripts deploy, roll back, and name the release."""
    site = Site(root=root, settings=settings or {"channels": {"log": {"type": "log"}}})
    (root / "policy" / "gateway.policy.json").unlink()
    service = root / "service"
    (service / "current").write_text("v1\n")
    script(service / "deploy.sh", f'echo "$FREEZELINE_FACT_RELEASE" | tee -a {service}/deploys > {service}/current')
    return site


class Watched(Struct, kw_only=True):
    """What watches the shop."""

    answers: Counter[str]
    prometheus: PrometheusServer
    receiver: Receiver


@contextlib.asynccontextmanager
async def watching(
    site: Site, generation: Generation, front: int, scraped: str, per_second: float
) -> AsyncIterator[Watched]:
    """Load, Prometheus and the receiver."""
    with contextlib.ExitStack() as stack:
        answers = stack.enter_context(loaded(front, per_second))
        prometheus = stack.enter_context(prometheus_server(generation, site.root / "prometheus", scraped))
        site.settings["prometheus"] = {"url": prometheus.url}
        (site.root / "receiver.yaml").write_text(json.dumps(site.settings))
        async with receiver(site) as running:
            yield Watched(answers=answers, prometheus=prometheus, receiver=running)


@contextlib.asynccontextmanager
async def opened(
    root: Path,
    generation: Generation,
    *,
    stages: str = STAGES,
    per_second: float = 80,
    settings: dict[str, Any] | None = None,
    defaults: str = "",
    backend: str = "",
    spec: str = SPEC,
    canary_runs: bool = True,
) -> AsyncIterator[Shop]:
    """Start everything but the engine."""
    site, admin = running_v1(root, settings), root / "admin.sock"
    front, metrics, canary_port, stable_port = free_ports(4)
    rules = write_policy(
        root, spec.format(root=root, socket=admin, stages=stages), root / "policy" / "shop.policy.json"
    )
    stable, canary = Version("v1"), Version("none")
    stable.port, canary.port = stable_port, canary_port
    config = root / "haproxy.cfg"
    config.write_text(
        HAPROXY.format(
            socket=admin,
            stable=stable.port,
            canary=canary.port,
            front=front,
            metrics=metrics,
            defaults=defaults,
            backend=backend,
        )
    )
    scraped = PROMETHEUS.format(rules=rules, stable=stable.port, canary=canary.port, haproxy=metrics)
    with contextlib.ExitStack() as stack:
        stack.enter_context(served(stable))
        if canary_runs:
            stack.enter_context(served(canary))
        stack.enter_context(haproxy(config, admin))
        async with watching(site, generation, front, scraped, per_second) as watched:
            yield Shop(
                site=site,
                stable=stable,
                canary=canary,
                front=front,
                socket=admin,
                prometheus=watched.prometheus,
                answers=watched.answers,
                receiver=watched.receiver,
            )


def kill(running: Running) -> None:
    """SIGKILL."""
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(10)
