"""The shop behind a real nginx, whose split is a file that the engine renders."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from tests.acceptance.release.killed import QUICK, STAGES
from tests.acceptance.release.nginx import Nginx
from tests.acceptance.release.served import Version, served
from tests.acceptance.release.shop import Shop, running_v1, watching, write_policy
from tests.balancers import free_ports
from tests.tools import Generation

WEIGHTS = "nginx-weights.conf.j2"
PROMETHEUS = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}/*.yml]
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{stable}', '127.0.0.1:{canary}']}}]}}
"""


class NginxShop(Shop, kw_only=True):
    """The shop. Its shares are those that the running nginx tells."""

    nginx: Nginx

    def weights(self) -> dict[str, int]:
        """The percentages that nginx uses."""
        percent = int(100 * asyncio.run(self.nginx.adapter().read()))
        return {"stable": 100 - percent, "canary": percent}


@contextlib.asynccontextmanager
async def opened(root: Path, generation: Generation) -> AsyncIterator[NginxShop]:
    """Start everything but the engine."""
    site, folder = running_v1(root), root / "nginx"
    folder.mkdir()
    stable, canary = Version("v1"), Version("none")
    stable.port, canary.port = free_ports(2)
    nginx = Nginx(folder, WEIGHTS, stable_at=stable.port, canary_at=canary.port)
    rules = write_policy(root, _spec(root, nginx), root / "policy" / "shop.policy.json")
    scraped = PROMETHEUS.format(rules=rules, stable=stable.port, canary=canary.port)
    with contextlib.ExitStack() as stack:
        for version in (stable, canary):
            stack.enter_context(served(version))
        stack.enter_context(nginx.running())
        async with watching(site, generation, nginx.front, scraped, 80) as watched:
            yield NginxShop(
                site=site,
                stable=stable,
                canary=canary,
                front=nginx.front,
                socket=folder / "none",
                prometheus=watched.prometheus,
                answers=watched.answers,
                receiver=watched.receiver,
                nginx=nginx,
            )


def _spec(root: Path, nginx: Nginx) -> str:
    """The shop's spec with the adapter of a file, and without the gate that asks HAProxy's metrics."""
    values = {
        "template": str(nginx.template),
        "file": str(nginx.file),
        "reload": nginx.reload,
        "read": nginx.read,
        "timeout": "10s",
    }
    text = QUICK.format(root=root, socket="/nowhere", stages=STAGES)
    lines = [line for line in text.splitlines() if "{id: balancer," not in line]
    at = next(number for number, line in enumerate(lines) if line.startswith("  traffic:"))
    lines[at] = f"  traffic: {json.dumps({'file': values})}"
    return "\n".join(lines) + "\n"
