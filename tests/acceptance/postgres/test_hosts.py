"""Three hosts: people are told on which of them a service is frozen, and on which not and why."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from freezeline.commands import status
from receiver.decide.hosts import WAIT
from tests.acceptance.postgres.hosts import FROZEN, Hosts
from tests.acceptance.receiver.harness import Receiver, body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0
REASON = "failure rate 2.31 % &gt; 0.5 %"
UNTIL = "Unfrozen when: alert resolved for 0.5 s"


def said(hosts: Hosts, title: str) -> list[str]:
    """The first line of every message that Slack got under a title."""
    found = [message for message in hosts.slack.received if message["text"] == title]
    return [message["blocks"][1]["text"]["text"].partition("\n")[0] for message in found]


async def of_service(server: Receiver) -> dict[str, Any]:
    """What the API says of the service."""
    (service,) = (await server.get("/api/v1/state"))["services"]
    return dict(service)


async def states(server: Receiver) -> dict[str, str]:
    """The state of the flag on each host, by the API of one receiver."""
    return {host["host"]: host["state"] for host in (await of_service(server))["hosts"]}


async def operate(server: Receiver, what: str) -> dict[str, Any]:
    """The answer to one of an operator's requests."""
    headers = {"Authorization": f"Bearer {server.site.token('operate')}"}
    asked = {"service": "gateway", "reason": "drill"}
    async with server.http.post(f"{server.url}/api/v1/{what}", json=asked, headers=headers) as answer:
        return dict(await answer.json())


def decisions(hosts: Hosts, kind: str) -> list[str]:
    """The sentences of all decisions of a kind, without the flag's path."""
    found = hosts.rows(f"SELECT sentence FROM decision WHERE kind = '{kind}' ORDER BY seq")
    return [sentence.partition(" /")[0] for (sentence,) in found]


async def test_the_notice_names_every_frozen_host(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """All three write, and the notices wait for them, but no longer. Every receiver says the same."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first, hosts.running(1) as second, hosts.running(2) as third:
        await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
        assert await hosts.post(third, FIRING) == 200
        await until(hosts.frozen, WAIT_S, "every host has the flag")
        await until(lambda: said(hosts, "gateway is frozen"), WAIT_S, "people are told")
        assert said(hosts, "gateway is frozen") == [f"{REASON}. Frozen on host-0, host-1 and host-2. {UNTIL}"]
        for one in (first, second, third):
            assert await states(one) == {"host-0": "frozen", "host-1": "frozen", "host-2": "frozen"}
        await hosts.to_the_end(third)
        assert said(hosts, "gateway is unfrozen") == ["alert resolved for 0.5 s. Unfrozen on host-0, host-1 and host-2"]
        assert hosts.told()[0] == "gateway is frozen"
        on_host = "SELECT DISTINCT kind, episode <> '' FROM decision WHERE kind LIKE '%_on_host' ORDER BY kind"
        assert hosts.rows(on_host) == [("frozen_on_host", True), ("unfrozen_on_host", True)]
        late = f"updated_at::timestamptz > created_at::timestamptz + interval '{WAIT.total_seconds()} s'"
        assert hosts.rows(f"SELECT count(*) FROM action WHERE type = 'notify' AND {late}") == [(0,)]
        hosts.check_end()


async def test_a_dead_host_is_named_until_it_comes_back(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """Killed before the freeze: named with its time. It writes its flag when it starts, and the journal says so."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first, hosts.running(1):
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(2) as third:
            await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
            third.process.kill()
        await until(lambda: hosts.guarding() == 2, WAIT_S, "the third receiver is dead")
        assert await hosts.post(first, FIRING) == 200
        await until(lambda: said(hosts, "gateway is frozen"), WAIT_S, "people are told")
        (text,) = said(hosts, "gateway is frozen")
        dead = r"host-2 was last seen at (\d\d:\d\d UTC): shipping may go on there"
        assert re.fullmatch(rf"{dead}\. Frozen on host-0 and host-1\. {re.escape(f'{REASON}. {UNTIL}')}", text)
        service = await of_service(first)
        assert service["on_disk"]
        assert [bool(re.fullmatch(dead, problem)) for problem in service["problems"]] == [True]
        assert [host["receiver"] for host in service["hosts"]] == ["running", "running", "lost"]
        assert decisions(hosts, "frozen_on_host") == ["host-1 has the flag"]
        async with hosts.running(2):
            await until(hosts.frozen, WAIT_S, "the third host has the flag")
            await until(lambda: len(decisions(hosts, "frozen_on_host")) == 2, WAIT_S, "the journal knows")
            assert decisions(hosts, "frozen_on_host")[1] == "host-2 has the flag"
            service = await of_service(first)
            assert (service["problems"], service["on_disk"]) == ([], True)
            shown = status.lines(await first.get("/api/v1/state"))
            assert [line[:20] for line in shown if "  host" in line] == [
                f"  host host-{one}: froze" for one in range(3)
            ]
            await hosts.to_the_end(first)
            hosts.check_end()


async def test_a_host_that_cannot_write_is_named_with_its_reason(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """Its own health says so, and the other hosts freeze at once. The host writes when it can."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first, hosts.running(1) as second, hosts.running(2):
        await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
        leader = hosts.leader()
        broken = next(number for number in (0, 1, 2) if f"host-{number}" != leader)
        one = (first, second)[broken]
        flags = hosts.sites[broken].flag.parent
        shutil.rmtree(flags, ignore_errors=True)
        flags.write_text("no directory")
        assert await hosts.post(first, FIRING) == 200
        await until(lambda: said(hosts, "gateway is frozen"), WAIT_S, "people are told")
        others = " and ".join(f"host-{number}" for number in (0, 1, 2) if number != broken)
        (text,) = said(hosts, "gateway is frozen")
        failed = f"host-{broken} cannot write its flag (/proc/self/cwd/flags: Not a directory)"
        assert text.startswith(f"{failed}: shipping may go on there. Frozen on {others}. {REASON}")
        service = await of_service(first)
        assert (service["frozen"], service["on_disk"]) == (True, False)
        assert service["problems"] == [f"{failed}: shipping may go on there"]
        health = await one.get("/health/detailed")
        assert health["components"]["flags"]["status"] == "failing"
        assert [host["error"] is not None for host in health["hosts"]] == [number == broken for number in (0, 1, 2)]
        assert decisions(hosts, "failed_on_host") == [f"host-{broken} cannot write the flag:"]
        flags.unlink()
        await until(hosts.frozen, WAIT_S, "the host writes the flag")
        await until(lambda: len(decisions(hosts, "frozen_on_host")) == 2, WAIT_S, "the journal knows")
        assert (await of_service(first))["problems"] == []
        await hosts.to_the_end(first)
        hosts.check_end()


async def test_a_host_that_said_goodbye_is_named_only_for_the_flag_that_it_keeps(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """By hand, so that the operator's answers are seen too."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first, hosts.running(1) as second:
        async with hosts.running(2) as third:
            await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
            answer = await operate(second, "freeze")
            assert (answer["on_disk"], answer["why"]) == (True, "")
            assert None not in hosts.flags()
            await until(lambda: said(hosts, "gateway is frozen"), WAIT_S, "people are told")
            assert "Frozen on host-0, host-1 and host-2" in said(hosts, "gateway is frozen")[0]
            assert await third.stop() == 0
        assert (await of_service(second))["problems"] == []
        keeps = "host-2 has no receiver now and keeps its flag: shipping stays stopped there"
        answer = await operate(second, "unfreeze")
        assert (answer["on_disk"], answer["why"]) == (True, keeps)
        await until(lambda: said(hosts, "gateway is unfrozen"), WAIT_S, "people are told")
        assert said(hosts, "gateway is unfrozen")[0].startswith(f"{keeps}. Unfrozen on host-0 and host-1. By operator")
        assert [flag is None for flag in hosts.flags()] == [True, True, False]
        assert (await of_service(first))["problems"] == [keeps]
        async with hosts.running(2):
            await until(hosts.unfrozen, WAIT_S, "the host drops its flag")
            await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
            assert (await of_service(first))["problems"] == []


async def test_a_notice_that_waits_for_a_host_outlives_its_leader(
    server: Cluster, slack: SlackFake, tmp_path: Path
) -> None:
    """A host stands still, so the notice waits; the leader dies meanwhile. The next leader tells people, once."""
    hosts = Hosts.made(tmp_path, server.database(), slack, count=3)
    async with hosts.running(0) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1) as second, hosts.running(2) as third:
            await until(lambda: hosts.guarding() == 3, WAIT_S, "three hosts guard the service")
            third.process.send_signal(signal.SIGSTOP)
            assert await hosts.post(first, FIRING) == 200
            waits = "SELECT payload ->> 'event' FROM action WHERE state = 'PENDING' AND payload ->> 'waits_for' <> ''"
            await until(lambda: ("frozen",) in hosts.rows(waits), WAIT_S, "the notice waits")
            await until(lambda: hosts.starts() == 1, WAIT_S, "nothing else waits")
            first.process.kill()
            assert said(hosts, "gateway is frozen") == []
            await until(lambda: hosts.heard(FROZEN), WAIT_S, "people are told")
            (text,) = said(hosts, "gateway is frozen")
            assert re.match(r"host-2 (was last seen at \d\d:\d\d UTC|has not written its flag yet): shipping may", text)
            assert "Frozen on host-0 and host-1. " in text
            third.process.send_signal(signal.SIGCONT)
            await until(hosts.frozen, WAIT_S, "the third host has the flag")
            assert await hosts.post(second, RESOLVED) == 200
            async with hosts.running(0):
                await until(hosts.unfrozen, WAIT_S, "no host has the flag")
                await until(hosts.heard, WAIT_S, "people are told")
            assert sorted(hosts.told()) == sorted({*hosts.told()})
            hosts.check_end()
