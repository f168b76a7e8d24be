"""How long the page of all services takes, with 500 services, 2,000 open episodes and 1,500 budgets.

A receiver in a process of its own gets the alerts, and a stand-in for Prometheus has a budget for three SLOs of each
service. Before each look, a service is acknowledged, so that nothing of the look before is still true. The processor
time of a live update is that of a change with a look, less that of a change alone. `python -m benchmarks.page`; exit
code 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.processor import processor_s
from benchmarks.serving import ROOT, START_S, post
from benchmarks.storm import NEVER, STARTED, Scene, until
from tests.fakes.prometheus import Objective, PrometheusFake, prometheus

SERVICES, EPISODES_EACH, SLOS_EACH = 500, 4, 3
RENDER_MAX_MS = 300.0
UPDATE_MAX_MS = 50.0
LOOKS = 40
BODY_ALERTS = 100
NUMBERS = itertools.count()
"""Services to acknowledge: only the first acknowledgement of a service changes anything."""


def prepare(root: Path, prometheus_url: str) -> None:
    """A policy for each service. Every tenth service freezes."""
    (root / "policy").mkdir(parents=True)
    (root / "receiver.yaml").write_text(
        json.dumps({"prometheus": {"url": prometheus_url}, "channels": {"log": {"type": "log"}}})
    )
    for number in range(SERVICES):
        service = f"service-{number:03}"
        freeze = {"type": "freeze", "flag": str(root / "flags" / service / "FREEZE.FLAG")}
        tell = {"type": "notify", "channels": ["log"], "events": ["frozen"]}
        do = "freeze" if number % 10 == 0 else "tell"
        policy = {
            "format": "freezeline.policy/2",
            "name": service,
            "service": service,
            "rules": [{"id": "down", "match": [{"label": "service", "op": "=", "value": service}], "do": [do]}],
            "actions": {"freeze": freeze, "tell": tell},
        }
        path = root / "policy" / f"{service}.policy.json"
        path.write_text(json.dumps(policy))
        path.chmod(0o644)


def alert(number: int) -> dict[str, Any]:
    """One firing alert; each service has four."""
    service = f"service-{number % SERVICES:03}"
    return {
        "status": "firing",
        "labels": {"alertname": f"Alert{number // SERVICES}", "service": service, "severity": "critical"},
        "annotations": {"summary": f"{number % 97}.5 % of HTTP requests failed over 5 min; the limit is 0.5 %"},
        "startsAt": STARTED,
        "endsAt": NEVER,
        "fingerprint": f"{number + 2**60:016x}",
    }


@contextmanager
def stand_in() -> Iterator[str]:
    """A stand-in for Prometheus in a thread of its own; gives its address."""
    fake = PrometheusFake(
        objectives=[
            Objective(service=f"service-{number:03}", slo=f"slo-{slo}", left=(number % 100) / 100, ratio=0.001 * slo)
            for number in range(SERVICES)
            for slo in range(SLOS_EACH)
        ]
    )
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with prometheus(fake):
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(START_S)
    try:
        yield fake.url
    finally:
        over.set()
        thread.join()


@contextmanager
def receiver(root: Path) -> Iterator[tuple[Scene, int]]:
    """A receiver with these policies, and the number of its process."""
    words = ["serve", "--policy", str(root / "policy"), "--state", str(root / "state"), "--listen", "127.0.0.1:0"]
    words += ["--config", str(root / "receiver.yaml")]
    with (root / "log").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "freezeline", *words], cwd=ROOT, stderr=output)
    try:
        until("the receiver answers", (root / "state" / "url").exists)
        yield Scene(root=root, url=(root / "state" / "url").read_text().strip()), process.pid
    finally:
        process.terminate()
        process.wait(60)


def log_in(scene: Scene) -> str:
    """The cookie of a session."""
    connection = scene.connect()
    form = urlencode({"token": scene.token("operate"), "name": "bench"})
    connection.request("POST", "/page/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def look(connection: http.client.HTTPConnection, path: str, cookie: str) -> tuple[float, bytes]:
    """GET a page: milliseconds and body."""
    begun = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} answered {answer.status}")
    return 1000 * (time.perf_counter() - begun), body


def change(scene: Scene, connection: http.client.HTTPConnection) -> None:
    """Something that the page shows: each time the acknowledgement of another service."""
    data = json.dumps({"service": f"service-{next(NUMBERS) % SERVICES:03}", "by": "bench"}).encode()
    post(connection, "/api/v1/ack", scene.token("operate"), data)


def measure(looks: int) -> dict[str, float]:
    """Fill a receiver, look again and again, and take the times."""
    with tempfile.TemporaryDirectory(prefix="freezeline-page-") as name, stand_in() as prometheus_url:
        root = Path(name)
        prepare(root, prometheus_url)
        with receiver(root) as (scene, pid):
            _fill(scene)
            connection, cookie = scene.connect(), log_in(scene)
            until("the budgets are there", lambda: b"slo-1" in look(connection, "/", cookie)[1])
            found = {path: _times(scene, connection, cookie, path, looks) for path in ("/", "/?all=1")}
            service = _times(scene, connection, cookie, "/page/service?name=service-007", looks)
            alone = _processor_ms(scene, pid, looks, "", cookie)
            together = _processor_ms(scene, pid, looks, "/?part=main", cookie)
            return {
                "services": SERVICES,
                "episodes": SERVICES * EPISODES_EACH,
                "page_ms": found["/"],
                "all_services_ms": found["/?all=1"],
                "service_ms": service,
                "page_bytes": len(look(connection, "/", cookie)[1]),
                "update_processor_ms": together - alone,
            }


def _fill(scene: Scene) -> None:
    connection, count = scene.connect(), SERVICES * EPISODES_EACH
    for first in range(0, count, BODY_ALERTS):
        alerts = [alert(number) for number in range(first, first + BODY_ALERTS)]
        body = {"version": "4", "receiver": "freezeline", "status": "firing", "alerts": alerts}
        post(connection, "/webhook", scene.token("webhook"), json.dumps(body).encode())
    until("every alert has its episode", lambda: scene.count("SELECT count(*) FROM episode") == count)
    open_actions = "SELECT count(*) FROM action WHERE state NOT IN ('SUCCEEDED', 'DEAD', 'CANCELLED', 'SKIPPED')"
    until("every flag is on disk", lambda: not scene.count(open_actions))


def _times(scene: Scene, connection: http.client.HTTPConnection, cookie: str, path: str, looks: int) -> float:
    """The median time of a page after a change."""
    times = []
    for _ in range(looks):
        change(scene, connection)
        times.append(look(connection, path, cookie)[0])
    return statistics.median(times)


def _processor_ms(scene: Scene, pid: int, looks: int, path: str, cookie: str) -> float:
    """Processor time of a change, with a look where there is a path."""
    connection = scene.connect()
    used = processor_s(pid)
    for _ in range(looks):
        change(scene, connection)
        if path:
            look(connection, path, cookie)
    return 1000 * (processor_s(pid) - used) / looks


def misses(found: dict[str, float]) -> list[str]:
    """Aims that were missed."""
    said = []
    if found["page_ms"] > RENDER_MAX_MS:
        said.append(f"the page took {found['page_ms']:.0f} ms, more than {RENDER_MAX_MS:g} ms")
    if found["update_processor_ms"] > UPDATE_MAX_MS:
        said.append(
            f"an update took {found['update_processor_ms']:.0f} ms of processor, more than {UPDATE_MAX_MS:g} ms"
        )
    return said


def main() -> int:
    """Measure, print, and say whether the aims are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", type=int, default=LOOKS, help=f"looks per measurement (default: {LOOKS})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    found = measure(args.looks)
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<22} {value:10.1f}")
    missed = misses(found)
    for one in missed:
        sys.stderr.write(f"missed: {one}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
