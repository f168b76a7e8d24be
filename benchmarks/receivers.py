"""How many durable webhooks a second one, two and three receivers with one journal in PostgreSQL take together.

Beside it: the time from a POST at one receiver to the flag on another host, and from the SIGKILL of the leader to the
next leader. PostgreSQL is a cluster of its own that syncs its disk, with and without a standby on the same disk.
`python -m benchmarks.receivers`; the run has no target.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from benchmarks.receiver import Load, load_process
from tests.acceptance.postgres.hosts import LEASE_S, Hosts
from tests.acceptance.receiver.harness import Receiver, body
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.postgres import SETTINGS, cluster, pair
from tests.waiting import until

CONNECTIONS = 32
WAIT_S = 60.0
POLL_S = 0.001


async def started(stack: AsyncExitStack, hosts: Hosts, count: int, *, standby: bool) -> list[Receiver]:
    """The first receivers of these hosts; one of them leads."""
    env = {"FREEZELINE_JOURNAL_REQUIRE_STANDBY": str(standby).lower()}
    found = [await stack.enter_async_context(hosts.running(number, env=env)) for number in range(count)]
    await until(hosts.leader, WAIT_S, "a receiver leads")
    return found


def load(receivers: list[Receiver], seconds: float) -> list[Load]:
    """Load on all receivers at once, from a process for each."""
    with ThreadPoolExecutor(len(receivers)) as pool:
        asked = [
            pool.submit(
                load_process,
                one.url,
                one.site.token("webhook"),
                connections=CONNECTIONS // len(receivers),
                seconds=seconds,
                first=(number + 1) * 10**7,
            )
            for number, one in enumerate(receivers)
        ]
        return [one.result() for one in asked]


async def throughput(root: Path, dsn: str, slack: SlackFake, count: int, *, seconds: float, standby: bool) -> str:
    """One line of the table."""
    hosts = Hosts.made(root, dsn, slack, count=count)
    async with AsyncExitStack() as stack:
        receivers = await started(stack, hosts, count, standby=standby)
        await asyncio.to_thread(load, receivers, 1.0)  # warm up
        loads = await asyncio.to_thread(load, receivers, seconds)
    total = sum(one.per_second for one in loads)
    p50_ms, p99_ms = median(one.p50_ms for one in loads), max(one.p99_ms for one in loads)
    return f"| {count} | {total:,.0f} | {p50_ms:.1f} | {p99_ms:.1f} |"


async def spread(root: Path, dsn: str, slack: SlackFake) -> tuple[float, float]:
    """Seconds from a POST at the leader to the flag on another host, and from the leader's SIGKILL to the next one."""
    hosts = Hosts.made(root, dsn, slack)
    async with AsyncExitStack() as stack:
        receivers = await started(stack, hosts, 2, standby=False)
        leader = int(hosts.leader().rpartition("-")[2])
        begun = time.perf_counter()
        await receivers[leader].post(body("0.34.2", "firing"))
        await asyncio.to_thread(appears, hosts.sites[1 - leader].flag)
        flag_s = time.perf_counter() - begun
        await until(lambda: hosts.rollbacks() == ["SUCCEEDED"], WAIT_S, "the rollback is done")
        begun = time.perf_counter()
        receivers[leader].process.kill()
        await until(lambda: hosts.leader() == f"host-{1 - leader}", WAIT_S, "the other receiver leads")
        return flag_s, time.perf_counter() - begun


def appears(file: Path) -> None:
    """Wait for a file, more closely than tests wait."""
    while not file.exists():
        time.sleep(POLL_S)


async def main(seconds: float, rounds: int) -> int:
    """Print the tables."""
    SETTINGS["fsync"] = "on"
    slack = SlackFake()
    with tempfile.TemporaryDirectory(prefix="freezeline-bench-") as folder:
        async with running(slack, SLACK_PATH):
            for standby in (False, True):
                print(
                    f"\n{'A standby has each webhook' if standby else 'The primary alone'}, {CONNECTIONS} connections\n"
                )
                print("| receivers | webhooks/s | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
                with pair() if standby else cluster() as servers:
                    primary = servers[0] if isinstance(servers, tuple) else servers
                    for count in (1, 2, 3):
                        root = Path(folder) / f"{count}-{standby}"
                        root.mkdir()
                        dsn = primary.database()
                        print(await throughput(root, dsn, slack, count, seconds=seconds, standby=standby), flush=True)
            with cluster() as primary:
                times = []
                for number in range(rounds):
                    root = Path(folder) / f"spread-{number}"
                    root.mkdir()
                    times.append(await spread(root, primary.database(), slack))
    flags, leads = zip(*times, strict=True)
    print(f"\nPOST to the flag on another host: median {1000 * median(flags):.0f} ms, worst {1000 * max(flags):.0f} ms")
    print(f"SIGKILL of the leader to the next leader: median {median(leads):.1f} s with a lease of {LEASE_S} s")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.seconds, given.rounds)))
