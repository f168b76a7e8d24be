"""How soon: flags on other hosts, and the takeover from a leader that was killed, with the default lease."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.leading import LEASE_S, PARTS
from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(600), pytest.mark.xdist_group("postgres")]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 60.0
AGREE_S = 1.0
LEADS_S = LEASE_S + LEASE_S / PARTS
VERIFIED_S = 45.0
LOOK_S = 0.005


def at_minute(name: str, minute: int) -> bytes:
    """A webhook about an alert that began at this minute, and ended half a minute later."""
    raw = json.loads(body("0.34.2", name))
    for alert in raw["alerts"]:
        alert["startsAt"] = f"2026-11-21T08:{minute}:00Z"
        if alert["status"] == "resolved":
            alert["endsAt"] = f"2026-11-21T08:{minute}:30Z"
    return json.dumps(raw).encode()


@contextmanager
def watched(hosts: Hosts) -> Iterator[dict[int, float]]:
    """When each host's flag last came or went, looked at closely in a thread."""
    changed: dict[int, float] = {}
    over = threading.Event()

    def look() -> None:
        before = [site.flag.exists() for site in hosts.sites]
        while not over.wait(LOOK_S):
            for number, site in enumerate(hosts.sites):
                if site.flag.exists() != before[number]:
                    before[number] = not before[number]
                    changed[number] = time.monotonic()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield changed
    finally:
        over.set()
        thread.join()


async def test_flags_of_all_hosts_agree_within_a_second(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """They come and go together, whichever receiver leads and whichever has the webhook."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first, hosts.running(1) as second, hosts.running(2) as third:
        await until(hosts.leader, WAIT_S, "a receiver leads")
        apart = []
        for number, receiver in enumerate((first, second, third)):
            for name, settled in (("firing", hosts.frozen), ("resolved", hosts.unfrozen)):
                data = at_minute(name, 20 + number)
                with watched(hosts) as changed:
                    assert await hosts.post(receiver, data) == 200
                    posted = time.monotonic()
                    await until(lambda: len(changed) == len(hosts.sites), WAIT_S, "every flag has changed")
                    await until(settled, AGREE_S, "all flags are the same")
                apart.append(max(changed.values()) - min(changed.values()))
                if name == "firing":
                    assert max(changed.values()) - posted < AGREE_S
        print(f"seconds between the first host and the last: {[round(one, 3) for one in apart]}")
        assert len(apart) == 6
        assert max(apart) < AGREE_S
        hosts.check_kept()


async def test_another_receiver_verifies_a_rollback_in_time(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """The leader is killed in a rollback. With the default lease, another one leads and verifies the rollback."""
    default = {"FREEZELINE_JOURNAL_LEASE_S": f"{LEASE_S:g}"}
    hosts = Hosts.made(tmp_path, server.database(), slack, rollback="sleep 4")
    async with hosts.running(0, env=default) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1, env=default) as second:
            assert await hosts.post(first, FIRING) == 200
            await until(lambda: hosts.starts() == 1 and hosts.frozen(), WAIT_S, "the rollback runs")
            first.process.kill()
            killed = time.monotonic()
            assert await hosts.post(second, FIRING) == 200
            await until(lambda: hosts.leader() == "host-1", LEADS_S, "the second receiver leads")
            leads_s = time.monotonic() - killed
            await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], VERIFIED_S - leads_s, "the rollback is verified")
            print(f"after SIGKILL: the next leader {leads_s:.1f} s, verified {time.monotonic() - killed:.1f} s")
            assert await hosts.post(second, RESOLVED) == 200
            async with hosts.running(0, env=default):
                await until(hosts.unfrozen, WAIT_S, "no host has the flag")
            await until(hosts.heard, WAIT_S, "people are told")
            hosts.check_end()
