"""A host's clock is wrong by ten minutes, or is set while the receiver runs. Receivers go by the database's clock."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from release.gate.frozen import HEARTBEAT_MAX_AGE_S
from tests.acceptance.postgres.hosts import LEASE_S, TOLD, Hosts
from tests.acceptance.receiver.harness import Site, body
from tests.fakes.http import SlackFake
from tests.postgres import Cluster
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.timed]

FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0
AHEAD_S, BEHIND_S = 600, -600
FIRST_S, SECOND_S = 4.0, 9.0
UNFREEZE_S = 0.5
LATE_S = 4.0
"""By a wrong clock, something happens ten minutes late. On a busy machine, it happens a little late."""

SAME = timedelta(seconds=1)
TIMES = {
    "decision": "at",
    "delivery": "first_at, last_at",
    "episode": "opened_at, resolved_at, closed_at",
    "freeze_reason": "since, written_at, ended_at",
    "flag_file": "written_at",
    "action": "created_at, updated_at",
    "alert_seen": "last_at",
}
"""What the journal says of the past, by table."""


def set_clock(file: Path, ahead_s: float) -> Path:
    """Set the clock of a host."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(ahead_s))
    return fresh.rename(file)


def escalates(hosts: Hosts, *after_s: float) -> None:
    """Let the policy of all hosts tell more people while nobody acknowledges."""
    for site in hosts.sites:
        site.policy["escalation"] = [
            {"after_s": seconds, "level": number, "channels": ["slack"]} for number, seconds in enumerate(after_s, 1)
        ]
        site.write()


async def test_wrong_clocks_move_nothing(server: Cluster, slack: SlackFake, tmp_path: Path) -> None:
    """One host's clock is ahead and the other's behind; both are set once more, and then the leader is killed."""
    hosts = Hosts.made(tmp_path, server.database(), slack)
    escalates(hosts, FIRST_S, SECOND_S)
    clocks = [set_clock(tmp_path / f"clock-{number}", by) for number, by in enumerate((AHEAD_S, BEHIND_S))]
    begun = datetime.now(UTC)
    async with hosts.running(0, clock=clocks[0]) as first:
        await until(lambda: hosts.leader() == "host-0", WAIT_S, "the first receiver leads")
        async with hosts.running(1, clock=clocks[1]) as second:
            posted = time.monotonic()
            assert await hosts.post(second, FIRING) == 200
            await until(hosts.frozen, WAIT_S, "both hosts have the flag")
            for number in range(2):
                check_heartbeat(hosts.sites[number], clocks[number])
            set_clock(clocks[0], 2 * AHEAD_S)
            set_clock(clocks[1], 2 * BEHIND_S)
            await until(lambda: level(1) in hosts.told(), WAIT_S, "more people are told")
            assert FIRST_S <= time.monotonic() - posted < FIRST_S + LATE_S
            assert hosts.leader() == "host-0"
            assert leaders(hosts) == 1
            first.process.kill()
            killed = time.monotonic()
            await until(lambda: hosts.leader() == "host-1", WAIT_S, "the second receiver leads")
            assert time.monotonic() - killed < float(LEASE_S) + LATE_S
            await until(lambda: level(2) in hosts.told(), WAIT_S, "even more people are told")
            assert SECOND_S <= time.monotonic() - posted < SECOND_S + LATE_S
            async with hosts.running(0, clock=clocks[0]):
                await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
                resolved = time.monotonic()
                assert await hosts.post(second, RESOLVED) == 200
                await until(hosts.unfrozen, WAIT_S, "no host has the flag")
                assert UNFREEZE_S <= time.monotonic() - resolved < UNFREEZE_S + LATE_S
                told = TOLD | {level(1), level(2)}
                await until(lambda: hosts.heard(told), WAIT_S, "people are told")
                hosts.check_end(told)
                assert leaders(hosts) == 2
    check_times(hosts, begun, datetime.now(UTC))


def check_heartbeat(site: Site, clock: Path) -> None:
    """Programs of the host compare the heartbeat with their own clock, and see that it is fresh."""
    at = datetime.fromisoformat(json.loads((site.flag.with_name("FREEZE.HEARTBEAT")).read_text())["at"])
    own = datetime.now(UTC) + timedelta(seconds=float(clock.read_text()))
    assert abs(own - at) < timedelta(seconds=HEARTBEAT_MAX_AGE_S)


def check_times(hosts: Hosts, begun: datetime, ended: datetime) -> None:
    """Decisions have their times in order, and every time in the journal is the database's."""
    decided = [datetime.fromisoformat(at) for (at,) in hosts.rows("SELECT at FROM decision ORDER BY seq")]
    assert decided == sorted(decided)
    for table, columns in TIMES.items():
        rows = hosts.rows(f"SELECT {columns} FROM {table}")
        found = [datetime.fromisoformat(at) for row in rows for at in row if at is not None]
        assert found
        assert begun - SAME < min(found)
        assert max(found) < ended + SAME
    texts = json.dumps(hosts.slack.received)
    shown = [
        datetime.fromisoformat(f"{at}+00:00") for at in re.findall(r"(2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", texts)
    ]
    assert begun - SAME < min(shown)
    assert max(shown) < ended + SAME


def leaders(hosts: Hosts) -> int:
    """How many receivers have led, one after the other."""
    ((fence,),) = hosts.rows("SELECT fence FROM chain_head")
    return int(fence)


def level(number: int) -> str:
    """What people are told who are asked after others."""
    return f"gateway: nobody has acknowledged yet (level {number})"
