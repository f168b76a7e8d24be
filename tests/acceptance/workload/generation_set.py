"""One running generation service with everything that watches it: faults break the service, and `mend` mends it.

A receiver keeps the journal. The shipped policy has no rule, because alerts of this service start no action. Here the
policy has one rule more, so that every alert is an incident of the journal.

Prometheus knows the ports of twice four workers, so workers come and go without a new configuration.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.acceptance.receiver.harness import Site, receiver
from tests.acceptance.workload.test_generation import Rig, options
from tests.acceptance.workload.watched import Repeat, Watched, watched
from tests.balancers import free_ports
from tests.tools import ROOT, Generation, request
from tests.waiting import wait_until
from tests.workload import Service, redis_server, service

WORKERS = 4
DRAINED_S = 180.0
"""A slow answer that is under way when the vendor is mended still takes more than a minute."""


class RunningSet:
    """The running service. `faster` divides the durations of its spec."""

    def __init__(self, root: Path, faster: int, stack: contextlib.ExitStack) -> None:
        self.root = root
        self.faster = faster
        self.repeat = Repeat()
        self._stack = stack
        self.api_port, *self.worker_ports = free_ports(1 + 2 * WORKERS)
        (root / "env").write_text("USE_DURABLE_WORKER=1\n")
        redis = stack.enter_context(redis_server(root))
        providers = stack.enter_context(service(root, "providers", "providers"))
        self._shared = options(root, redis, providers)
        self._api = stack.enter_context(contextlib.ExitStack())
        self._workers = contextlib.ExitStack()
        stack.callback(self._end_workers)
        self._processes: list[Service] = []
        self._turn = False
        self.rig = Rig(root=root, redis=redis, providers=providers, api=self.restart_api())
        self.restart_workers()

    @property
    def api(self) -> Service:
        """The API, at its address."""
        return self.rig.api

    def restart_api(self, *, fault: str = "") -> Service:
        """A release of the API, with a fault or without."""
        self._api.close()
        arguments = ["api", "--port", str(self.api_port), *self._shared]
        return self._api.enter_context(self._service("api", arguments, fault))

    def restart_workers(self, *, number: int = 1, fault: str = "") -> None:
        """So many workers of a release, with a fault or without. The new ones run before the old ones end."""
        old, self._workers, self._processes = self._workers, contextlib.ExitStack(), []
        self._turn = not self._turn
        with old:
            for place, port in list(enumerate(self.worker_ports))[self._turn :: 2][:number]:
                own = ["worker", "--port", str(port), "--scratch", str(self.root / f"scratch-{place}")]
                made = self._service(f"worker-{place}", [*own, *self._shared], fault)
                self._processes.append(self._workers.enter_context(made))

    def _end_workers(self) -> None:
        self._workers.close()

    def kill_workers(self) -> None:
        """As the kernel does when memory is short."""
        for worker in self._processes:
            worker.process.kill()

    def _service(self, name: str, arguments: list[str], fault: str) -> contextlib.AbstractContextManager[Service]:
        quiet = {"generation_fault": fault, "generation_log_level": "ERROR"}
        return service(self.root, name, "generation", arguments, **quiet)

    def every(self, seconds: float, act: Callable[[], object]) -> None:
        """Repeat an act until the fault ends, whatever the durations of the spec."""
        self.repeat.every(seconds, act)

    def often(self, shipped_s: float, act: Callable[[], object]) -> None:
        """Repeat an act as often in each window of the spec, however short the windows are."""
        self.repeat.every(shipped_s / self.faster, act)

    def ask(self, question: str = "What is a burn rate?") -> str:
        """Enqueue a question."""
        return self.rig.ask(question)

    def dead_letter(self) -> None:
        """A job that no retry can mend."""
        self.rig.post("jobs", {"texts": ["x"], "batch": 5})

    def vendors(self, **faults: dict[str, Any]) -> None:
        """Switch vendors' faults; `{}` mends a vendor."""
        self.rig.fault(**faults)

    def mend(self, end: Callable[["RunningSet"], object]) -> None:
        """End the fault: its load, what vendors do, a faulty release, dead letters, and what the queue still holds."""
        self.repeat.end()
        self.vendors(openai={}, anthropic={}, embeddings={})
        end(self)
        wait_until(self._empty, DRAINED_S, "the queue is empty")

    def _empty(self) -> bool:
        """No job and no dead letter is left. People replay the letters, and discard those that no replay can mend."""
        metrics = self.api.metrics()
        for letter in self.rig.dead_letters() if metrics["dlq_entries_waiting"] else ():
            if letter["error_type"] == "validation":
                request("DELETE", f"{self.api.url}/api/v1/dead-letters/{letter['id']}")
            else:
                self.rig.post(f"dead-letters/{letter['id']}/replay")
        return all(metrics[name] == 0 for name in ("rag_queue_length", "worker_active_jobs", "dlq_entries_waiting"))


class Desk(Struct, frozen=True, kw_only=True):
    """Whoever reads the journal of the receiver."""

    site: Site

    def episodes(self, alert: str) -> list[tuple[str]]:
        """The states of the episodes that an alert opened."""
        return self.site.rows("SELECT state FROM episode WHERE alert = ?", alert)

    def incidents(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`freezeline incidents` for this service."""
        argv = [sys.executable, "-m", "freezeline", "incidents", "--state", str(self.site.state)]
        argv += ["--service", "generation", *options]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def site_of(root: Path, alerts: Sequence[str]) -> Site:
    """The shipped policy, and one rule more: each alert is an incident, which ends with the alert."""
    policy = json.loads((ROOT / "rules" / "policy" / "generation-service.policy.json").read_text())
    rule = {
        "id": "incident",
        "match": [
            {"label": "alertname", "op": "=~", "value": "|".join(alerts)},
            {"label": "service", "op": "=", "value": "generation"},
        ],
        "do": ["tell"],
        "unfreeze": {"resolved_for_s": 1, "all_of": [], "review_after_s": 86400},
    }
    tell = {"type": "notify", "channels": ["log"], "events": ["frozen"]}
    policy |= {"rules": [rule], "actions": {"tell": tell}}
    return Site(root=root / "receiver", policy=policy, settings={"channels": {"log": {"type": "log"}}})


@contextlib.asynccontextmanager
async def running_set(
    generation: Generation, root: Path, faster: int, alerts: Sequence[str]
) -> AsyncIterator[tuple[RunningSet, Watched, Desk]]:
    """The service, what watches it, and the journal, from start to end."""
    site = site_of(root, alerts)
    async with receiver(site) as running:
        with contextlib.ExitStack() as stack:
            made = RunningSet(root, faster, stack)
            stack.callback(made.repeat.end)
            targets = {"generation": [made.api_port, *made.worker_ports]}
            hook = {"webhook": f"{running.url}/webhook", "token": site.token("webhook")}
            found = watched("generation-service", generation, root, targets, faster=faster, up=2, **hook)
            yield made, stack.enter_context(found), Desk(site=site)
