"""A real receiver for the page: a rollback that runs until it is cancelled, a channel that refuses everything."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from release.canary.state import AbortAsked, Phase, State, Tick
from release.canary.verdict import Measured, Verdict
from release.store.database import Database
from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.tools import ROOT
from tests.waiting import until

CANARY = ROOT / "rules" / "policy" / "canary-medium.policy.json"
HOSTILE_RELEASE = "<img src=x onerror=alert(1)>"
HOSTILE = HOSTILE_RELEASE + " \u202etxt\u2066 \x1b[31m"
END_S = 30.0


@asynccontextmanager
async def page_receiver(root: Path) -> AsyncIterator[Receiver]:
    """Run it; no rollback is left running."""
    slack = root / "slack-url"
    slack.write_text("ftp://nowhere.example.org/")
    channels = {"slack": {"type": "slack", "url_file": str(slack)}, "toast": {"type": "toast"}, "log": {"type": "log"}}
    site = Site(root=root, settings={"channels": channels})
    site.policy["rules"][0]["match"] = [{"label": "service", "op": "=", "value": "gateway"}]
    site.policy["actions"]["rollback"] |= {"command": ["/bin/sleep", "600"], "timeout_s": 900}
    site.policy["actions"]["rollback"]["release"] = {"command": ["/bin/echo", HOSTILE_RELEASE]}
    site.policy["actions"]["tell"] |= {"channels": ["slack", "toast"], "fallback": ["log"]}
    site.write()
    async with receiver(site) as running:
        try:
            yield running
        finally:
            await end_rollbacks(running)


async def fires(running: Receiver, alertname: str, *, summary: str = "failure rate 2.31 % > 0.5 %") -> None:
    """Deliver one firing alert of the service `gateway`."""
    await deliver(running, alertname, service="gateway", annotations={"summary": summary})


async def deliver(
    running: Receiver, alertname: str, *, service: str, annotations: dict[str, str], resolved: bool = False
) -> None:
    """Deliver one alert of a service."""
    labels = {"alertname": alertname, "service": service, "severity": "critical"}
    alert = {
        "status": "resolved" if resolved else "firing",
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T03:14:05Z" if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": f"{service}{alertname}".encode().hex()[-16:].rjust(16, "0"),
    }
    delivery = {"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "freezeline"}
    delivery |= {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]}
    assert await running.post(json.dumps(delivery).encode()) == 200


def hostile_rollout(state: Path) -> None:
    """A rollout of the service `gateway`, whose texts want to be markup and to turn the direction of text.

    Names of releases are checked before a rollout begins.
    """
    database = Database(state / "canary" / "gateway.db")
    aborting = State(rollout="r9", release="v9", stable="v8", phase=Phase.ABORTING, why=HOSTILE)
    database.begin(aborting, policy=CANARY.read_text("utf-8"), every_s=3600, at=time.time())
    measured = Measured(
        gate=HOSTILE, verdict=Verdict.BREACH, value=Decimal(1), bound=Decimal(0), samples=9, why=HOSTILE
    )
    at = time.time()
    database.save(AbortAsked(by=HOSTILE, reason=HOSTILE), aborting, (), at=at)
    database.save(Tick(at=at, weight=Decimal(0), measured=(measured,)), aborting, (), at=at)
    database.close()


async def end_rollbacks(running: Receiver) -> None:
    """A runner outlives its receiver: ask it to end what it runs."""
    for action in await _rollbacks(running):
        await running.operate("cancel", action=action["id"], reason="the test is over")
    await until(lambda: _none_runs(running), END_S, "the end of every rollback")


async def _rollbacks(running: Receiver) -> list[dict[str, Any]]:
    actions = (await running.get("/api/v1/state"))["actions"]
    states = {"PENDING", "STARTING", "RUNNING"}
    return [one for one in actions if one["type"] == "rollback" and one["state"] in states]


async def _none_runs(running: Receiver) -> bool:
    return not await _rollbacks(running)
