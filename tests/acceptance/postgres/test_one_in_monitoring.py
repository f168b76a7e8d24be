"""Several receivers behind one balancer: the receiver that hears nothing raises no alarm about itself."""

import json
from pathlib import Path

import pytest

from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import Receiver
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

WAIT_S = 45.0
RECONCILED = "freezeline_reconcile_last_success_timestamp_seconds"
WATCHDOG_SEEN = "freezeline_watchdog_last_seen_timestamp_seconds"
QUICK = {"FREEZELINE_ALERTMANAGERS": "http://127.0.0.1:1", "FREEZELINE_DEAF_AFTER_S": "3"}
"""An Alertmanager that must send something within three seconds. Nobody asks it before the test ends."""

WATCHDOG = {
    "status": "firing",
    "labels": {"alertname": "FreezelineWatchdog", "severity": "none"},
    "annotations": {},
    "startsAt": "2026-11-28T16:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "",
    "fingerprint": "5ca1ab1e5ca1ab1e",
}
DELIVERY = {
    "version": "4",
    "groupKey": "{}:{}",
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "freezeline",
    "groupLabels": {},
    "commonLabels": WATCHDOG["labels"],
    "commonAnnotations": {},
    "externalURL": "",
    "alerts": [WATCHDOG],
}


async def figures(server: Receiver) -> dict[str, float]:
    """The receiver's figures without labels."""
    lines = [line.split() for line in (await server.get("/metrics")).splitlines() if line.startswith("freezeline_")]
    return {name: float(value) for name, value in lines if "{" not in name}


async def test_a_receiver_that_only_stands_by_raises_no_alarm(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """A balancer gives each webhook to the first receiver. The second one is not deaf, and owes no comparison."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    async with hosts.running(0, env=QUICK) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1, env=QUICK) as second:

            async def deaf() -> bool:
                return bool((await second.get("/health"))["components"]["webhooks"] == "failing")

            await until(deaf, WAIT_S, "nobody hears anything")

            async def heard() -> bool:
                assert await hosts.post(first, json.dumps(DELIVERY).encode()) == 200
                return not await deaf()

            await until(heard, WAIT_S, "the second receiver knows what the first one hears")
            assert RECONCILED not in await figures(second)
            first_has, second_has = await figures(first), await figures(second)
            assert first_has[RECONCILED] > 0
            assert second_has[WATCHDOG_SEEN] > first_has[WATCHDOG_SEEN] - 10
            first.process.kill()
            await until(lambda: hosts.leader() == "host-1", WAIT_S, "the second receiver leads")

            async def compares() -> bool:
                return (await figures(second)).get(RECONCILED, 0) > 0

            await until(compares, WAIT_S, "the second receiver compares")
