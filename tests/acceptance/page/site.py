"""A real receiver for the page: a rollback that runs until it is cancelled, a channel that refuses everything."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.receiver.harness import Receiver, Site, receiver
from tests.waiting import until

HOSTILE_RELEASE = "<img src=x onerror=alert(1)>"
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
