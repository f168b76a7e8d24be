"""Random bad days: kills, full disks, storms, lost flags, directories, journals and policies, by a seed.

Three zeros must stand at the end: no acknowledged freeze is lost, no release is rolled back twice, and no reader sees
half a flag. The report goes to tests/data/crash-report.txt; FREEZELINE_CRASH_ROUNDS sets the length.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.acceptance.receiver.crash_world import QUIET_S, SERVICES, Alert, World
from tests.disks import fill, public_directory, small_disk
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("FREEZELINE_CRASH_ROUNDS", "300"))
QUIET_EVERY = 15
STORM = 100
BODY_MAX = 50
REPORT = ROOT / "tests" / "data" / "crash-report.txt"
STATE_KIB = 96 * 1024

Mischief = Callable[["BadDay"], Awaitable[None]]


class BadDay:
    """One seed: a world, and what is wrong with it at present. `mends` puts it right again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self.mends: list[Callable[[], object]] = []

    def service(self) -> str:
        """Some service."""
        return self.random.choice(SERVICES)

    def fire(self, count: int = 1) -> list[Alert]:
        """New alerts of some service."""
        service, world = self.service(), self.world
        new = []
        for _ in range(count):
            world.done["alerts"] += 1
            second = world.done["alerts"] % 86_400
            at = f"2026-11-21T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
            new.append(Alert(service=service, fingerprint=f"{world.done['alerts']:016x}", starts_at=at))
        world.alerts += new
        return new

    async def calm(self) -> None:
        """Put everything right, repeat all alerts until they are acknowledged, and wait until nothing is left to do."""
        while self.mends:
            self.mends.pop()()

        async def is_calm() -> bool:
            await self.world.start()
            due = [alert for alert in self.world.alerts if "firing" in {alert.status, alert.told}]
            for start in range(0, len(due), BODY_MAX):
                await self.world.deliver(due[start : start + BODY_MAX])
            return not any(alert.told != alert.status for alert in due) and await self.world.settled()

        await until(is_calm, QUIET_S, "everything is settled")
        self.world.done["quiet times"] += 1


async def deliver_new(day: BadDay) -> None:
    """An alert fires."""
    await day.world.deliver(day.fire())


async def resolve(day: BadDay) -> None:
    """Every alert of a service resolves."""
    service = day.service()
    alerts = [alert for alert in day.world.alerts if alert.service == service and alert.status == "firing"]
    for alert in alerts:
        alert.status = "resolved"
    for start in range(0, len(alerts), BODY_MAX):
        await day.world.deliver(alerts[start : start + BODY_MAX])


async def repeat(day: BadDay) -> None:
    """Alertmanager repeats what fires."""
    firing = [alert for alert in day.world.alerts if alert.status == "firing"]
    if firing:
        await day.world.deliver(firing[-50:])


async def storm(day: BadDay) -> None:
    """Many alerts in one body."""
    day.world.done["storms"] += 1
    await day.world.deliver(day.fire(STORM))


async def deploy(day: BadDay) -> None:
    """A release, unless the service is frozen."""
    service = day.service()
    if service not in day.world.frozen() | day.world.must_be_frozen():
        day.world.deploy(service)


async def kill(day: BadDay) -> None:
    """SIGKILL in the middle of something."""
    pending = asyncio.create_task(day.world.deliver(day.fire()))
    await asyncio.sleep(day.random.random() * 0.05)
    await day.world.end(signal.SIGKILL)
    await pending
    await day.world.start()


async def stop(day: BadDay) -> None:
    """SIGTERM, and a new start."""
    await day.world.end(signal.SIGTERM)
    await day.world.start()


async def fill_disk(day: BadDay) -> None:
    """No space for the journal."""
    day.world.done["full disks"] += 1
    ballast = fill(day.world.root / "state")
    day.mends.append(lambda: ballast.unlink(missing_ok=True))


async def remove_flag(day: BadDay) -> None:
    """Somebody removes a flag."""
    day.world.done["flags removed"] += 1
    day.world.flag(day.service()).unlink(missing_ok=True)


async def remove_directory(day: BadDay) -> None:
    """Somebody removes a flag's directory."""
    day.world.done["directories removed"] += 1
    folder = day.world.flag(day.service()).parent
    aside = folder.with_name(f"gone-{day.world.done['directories removed']}")
    if folder.is_dir():
        folder.rename(aside)


async def open_directory(day: BadDay) -> None:
    """Everybody may write a flag's directory for a while."""
    folder = day.world.flag(day.service()).parent
    if folder.is_dir():
        day.world.done["directories opened"] += 1
        folder.chmod(0o777)
        day.mends.append(lambda: folder.chmod(0o755) if folder.is_dir() else None)


async def lose_journal(day: BadDay) -> None:
    """Somebody deletes or replaces the journal of a quiet receiver."""
    await day.calm()
    await until(day.world.flags_name_rollbacks, QUIET_S, "flags name the rollbacks")
    day.world.done["journals lost"] += 1
    journal, process = day.world.root / "state" / "journal.db", day.world.process
    if day.random.random() < 0.5:
        journal.unlink()
    else:
        copy = journal.with_name("copy")
        copy.write_bytes(b"")
        copy.rename(journal)
    await until(lambda: process is None or process.poll() is not None, 30, "the receiver notices")
    for service in set(SERVICES) - day.world.frozen():
        # Without a flag, nothing but the journal knows that the last release was bad. Until the receiver's end, it may
        # unfreeze a service whose alerts resolved before.
        day.world.deploy(service)
    for path in journal.parent.glob("journal.db*"):
        path.unlink()
    for alert in day.world.alerts:
        alert.told = "" if alert.status == "firing" else alert.told
    await day.world.start()


async def unfreeze(day: BadDay) -> None:
    """A person ends a freeze for which nothing fires any more."""
    service = day.service()
    if not any(alert.service == service and "firing" in {alert.status, alert.told} for alert in day.world.alerts):
        await day.world.ask("POST", "/api/v1/unfreeze", "operate", {"service": service, "reason": "over"})


async def replace_policy(day: BadDay) -> None:
    """Another policy, or no file at all for a while."""
    day.world.done["policies replaced"] += 1
    service = day.service()
    if day.random.random() < 0.3:
        day.world.policy_file(service).unlink(missing_ok=True)
        day.mends += [day.world.reload, lambda: day.world.write_policy(service)]
    else:
        day.world.write_policy(service)
    day.world.reload()


ORDINARY: tuple[Mischief, ...] = (deliver_new, deliver_new, resolve, resolve, repeat, deploy, deploy, unfreeze)
BAD: tuple[Mischief, ...] = (
    kill,
    kill,
    kill,
    stop,
    storm,
    fill_disk,
    remove_flag,
    remove_directory,
    open_directory,
    lose_journal,
    replace_policy,
)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_random_bad_days_lose_and_repeat_nothing(seed: int) -> None:
    """The same seed gives the same day, as far as the machine allows."""
    timeout = aiohttp.ClientTimeout(total=20)
    with public_directory() as root, ExitStack() as stack:
        stack.enter_context(small_disk(root / "state", kib=STATE_KIB))
        (root / "state").chmod(0o700)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            world = World(root=root, random=Random(seed), http=http)
            watcher = asyncio.create_task(world.watch_flags())
            try:
                lost = await live_through(BadDay(world))
            finally:
                watcher.cancel()
                await world.end(signal.SIGKILL)
    report(seed, world, lost)
    zeros = (lost, world.repeated_rollbacks_seen, world.half_flags, world.said_ok_wrongly)
    assert zeros == ([], [], 0, 0)


async def live_through(day: BadDay) -> list[str]:
    """All rounds of a day. Returns the services whose freeze was lost at a quiet time."""
    await day.world.start()
    lost: list[str] = []
    for number in range(ROUNDS):
        await day.random.choice(BAD if day.random.random() < 0.4 else ORDINARY)(day)
        await day.world.look_at_health()
        if number % QUIET_EVERY == QUIET_EVERY - 1:
            await day.calm()
            lost += sorted(day.world.must_be_frozen() - day.world.frozen())
    await day.calm()
    day.world.repeated_rollbacks_seen = day.world.repeated_rollbacks()
    day.world.done["rollbacks"] = day.world.rollbacks()
    return lost


def report(seed: int, world: World, lost: list[str]) -> None:
    """Write the seed's line into the report, in place of its last one."""
    zeros = f"lost freezes {len(lost)}, repeated rollbacks {len(world.repeated_rollbacks_seen)}"
    zeros += f", half flags {world.half_flags}, wrong ok {world.said_ok_wrongly}"
    counts = ", ".join(f"{name} {count}" for name, count in sorted(world.done.items()))
    line = f"seed {seed}, {ROUNDS} rounds: {zeros}; {counts}"
    kept = [old for old in lines_of(REPORT) if not old.startswith(f"seed {seed},")]
    REPORT.write_text("\n".join(sorted([*kept, line])) + "\n")


def lines_of(path: Path) -> list[str]:
    """The lines of a file; none if the file is missing."""
    return path.read_text().splitlines() if path.exists() else []
