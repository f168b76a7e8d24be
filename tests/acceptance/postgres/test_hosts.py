"""Three hosts: people are told on which of them a service is frozen, and on which not and why."""

import signal
from pathlib import Path

import pytest

from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0


def texts(hosts: Hosts, title: str) -> list[str]:
    """What Slack got under a title, in full."""
    return [str(message) for message in hosts.slack.received if title in message["text"]]


async def test_the_notice_names_every_frozen_host(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """All three write; the notice waits for them, and not longer."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0), hosts.running(1), hosts.running(2) as third:
        await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
        assert await hosts.post(third, FIRING) == 200
        await until(hosts.frozen, WAIT_S, "every host has the flag")
        await until(lambda: texts(hosts, "gateway is frozen"), WAIT_S, "people are told")
        print(texts(hosts, "gateway is frozen"), hosts.told())
        print(hosts.rows("SELECT * FROM flag_on_host"))
        assert await hosts.post(third, RESOLVED) == 200
        await until(hosts.unfrozen, WAIT_S, "no host has the flag")
        await until(hosts.heard, WAIT_S, "people are told")
        print(texts(hosts, "gateway is unfrozen"), hosts.told())
        for row in hosts.rows("SELECT seq, at, kind, sentence FROM decision ORDER BY seq"): print(row)
        for row in hosts.rows("SELECT created_at, updated_at, due_at, name, state, payload FROM action WHERE type='notify' ORDER BY id"): print(row)
        hosts.check_end()
