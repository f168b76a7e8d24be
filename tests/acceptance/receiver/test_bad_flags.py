"""Flags that cannot be written, cannot be seen, or that somebody else made."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from freezeline.commands.status import lines
from tests.acceptance.receiver.harness import Receiver, Site, body, default_policy, receiver
from tests.acceptance.receiver.test_kill_points import final
from tests.disks import fill, public_directory, small_disk
from tests.tools import ROOT
from tests.waiting import until

pytestmark = pytest.mark.acceptance

DEADLINE_S = 30.0
FLAGS = 40
SECONDS = 8.0
"""A flag is on disk so soon after the cause of a failure has gone."""

FIRING = body("0.34.2", "firing")


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose flag other users can see, and whose policy announces the default events."""
    with public_directory() as root:
        found = Site(root=root)
        del found.policy["actions"]["tell"]["events"]
        found.write()
        yield found


def command(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on this machine's receiver."""
    whole = [sys.executable, "-m", "freezeline", *arguments, "--state", str(site.state)]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def reasons(site: Site) -> list[str]:
    """The reasons that the flag names."""
    return [reason["reason"] for reason in json.loads(site.flag.read_text())["reasons"]]


def told(server: Receiver) -> list[str]:
    """The events that the channel `log` got."""
    records = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [record["notice"]["event"] for record in records if record["message"] == "notice"]


def full(site: Site, stack: ExitStack) -> Callable[[], object]:
    """The flag's disk is full."""
    disk = stack.enter_context(small_disk(site.flag.parent, kib=64))
    return fill(disk).unlink


def is_a_file(site: Site, _stack: ExitStack) -> Callable[[], object]:
    """The flag's directory is missing, and cannot be made: a file has its name."""
    site.flag.parent.write_text("")
    return site.flag.parent.unlink


def is_a_link(site: Site, _stack: ExitStack) -> Callable[[], object]:
    """The flag's directory is a symbolic link."""
    (site.root / "elsewhere").mkdir()
    site.flag.parent.symlink_to(site.root / "elsewhere")
    return site.flag.parent.unlink


def is_open_to_all(site: Site, _stack: ExitStack) -> Callable[[], object]:
    """Everybody may write the flag's directory."""
    site.flag.parent.mkdir()
    site.flag.parent.chmod(0o777)
    return lambda: site.flag.parent.chmod(0o755)


def flag_is_a_directory(site: Site, _stack: ExitStack) -> Callable[[], object]:
    """The flag itself is a directory."""
    site.flag.mkdir(parents=True)
    return site.flag.rmdir


OBSTACLES = (full, is_a_file, is_a_link, is_open_to_all, flag_is_a_directory)


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda obstacle: obstacle.__name__)
async def test_a_freeze_that_fails_is_never_called_done(
    site: Site, obstacle: Callable[[Site, ExitStack], Callable[[], object]]
) -> None:
    """Health tells before any alert; then state, metrics, notices and the command line tell meant from on disk."""
    with ExitStack() as stack:
        mend = obstacle(site, stack)
        async with receiver(site) as server:
            assert (await server.get("/health"))["components"]["flags"] == "failing"
            assert await server.post(FIRING) == 200
            await until(lambda: "freeze_failed" in told(server), DEADLINE_S, "people are told")
            (service,) = (await server.get("/api/v1/state"))["services"]
            assert (service["frozen"], service["on_disk"], len(service["problems"])) == (True, False, 1)
            metrics = await server.get("/metrics")
            assert 'freezeline_frozen{service="gateway"} 0.0' in metrics
            assert 'freezeline_freeze_not_on_disk{service="gateway"} 1.0' in metrics
            assert 'freezeline_component_ok{component="flags"} 0.0' in metrics
            shown = lines(await server.get("/api/v1/state"))
            assert [line for line in shown if line.startswith("gateway: NOT FROZEN YET")]
            if obstacle is is_a_file:
                frozen = command(site, "freeze", "gateway", "--reason", "x")
                assert (frozen.returncode, frozen.stdout) == (1, "")
                assert "gateway is NOT frozen yet" in frozen.stderr
            assert site.lines("rollbacks") == []
            descriptors = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
            mend()
            await until(site.flag.is_file, SECONDS, "the flag comes soon after its obstacle is gone")
            await until(lambda: final(site), DEADLINE_S, "everything is over")
            assert 'freezeline_frozen{service="gateway"} 1.0' in await server.get("/metrics")
            assert (await server.get("/health"))["status"] == "ok"
            assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) <= descriptors + 3


async def test_a_flag_that_cannot_be_removed_is_told_as_such(site: Site) -> None:
    """The event is `unfreeze_failed`, and the command line fails: the service is still frozen."""
    async with receiver(site) as server:
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        site.flag.parent.chmod(0o777)
        done = command(site, "unfreeze", "gateway", "--reason", "x")
        assert done.returncode == 1
        assert "gateway is STILL frozen" in done.stderr
        await until(lambda: "unfreeze_failed" in told(server), DEADLINE_S, "people are told")
        assert "freeze_failed" not in told(server)
        site.flag.parent.chmod(0o755)
        await until(lambda: not site.flag.exists(), SECONDS, "the flag goes")


async def test_a_lost_flag_directory_comes_back_with_its_flag(site: Site) -> None:
    """Somebody removes the directory of a frozen service; while it cannot be made again, nobody calls this frozen."""
    async with receiver(site) as server:
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        for path in site.flag.parent.iterdir():
            path.unlink()
        site.flag.parent.rmdir()
        site.flag.parent.write_text("in the way")
        assert 'freezeline_frozen{service="gateway"} 0.0' in await server.get("/metrics")
        await until(lambda: "freeze_failed" in told(server), DEADLINE_S, "people are told")
        assert (await server.get("/health"))["status"] == "degraded"
        site.flag.parent.unlink()
        await until(site.flag.is_file, SECONDS, "the flag is back")


async def test_a_flag_that_others_cannot_see_is_said(site: Site) -> None:
    """`test -e` of another user would answer "not frozen" for a flag below a private directory."""
    private = site.state / "gateway" / "FREEZE.FLAG"
    site.policy["actions"]["freeze"]["flag"] = str(private)
    site.write()
    async with receiver(site) as server:
        health = await server.get("/health/detailed")
        assert health["status"] == "degraded"
        why = health["components"]["flags"]["why"]
        assert f"other users cannot search {site.state} (mode 0700)" in why
        said = [
            line for line in server.log.read_text().splitlines() if f"other users cannot search {site.state}" in line
        ]
        assert len(said) == 1


GATE = (
    'test -n "$(find {0}/FREEZE.HEARTBEAT -newermt "30 seconds ago")" '
    "&& test ! -e {0}/FREEZE.FLAG && test ! -L {0}/FREEZE.FLAG"
)


def may_deploy(directory: Path) -> bool:
    """What the line in the docs answers to a user without rights."""
    line = GATE.format(directory)
    docs = (ROOT / "docs" / "receiver.md").read_text()
    assert GATE.format("/var/lib/freezeline-flags/checkout") in docs.replace(" \\\n  ", " ")
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return subprocess.run([*as_nobody, "sh", "-c", line], capture_output=True, check=False).returncode == 0


async def test_the_line_for_pipelines_fails_closed(site: Site) -> None:
    """Another user may deploy only if no flag is seen and a receiver watches."""
    directory = site.flag.parent
    assert not may_deploy(directory)
    async with receiver(site) as server:
        assert may_deploy(directory)
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert not may_deploy(directory)
        assert await server.operate("unfreeze", service="gateway", reason="x") == 202
        await until(lambda: may_deploy(directory), DEADLINE_S, "unfrozen")
        directory.chmod(0o700)
        assert not may_deploy(directory)


async def test_a_freeze_survives_the_loss_of_its_journal(site: Site) -> None:
    """The flag is taken up, the alert that still fires rolls nothing back again, and a person unfreezes."""
    async with receiver(site) as server:
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert json.loads(site.flag.read_text())["rollbacks"][0]["release"] == "v2"
        assert await server.stop() == 0
    for path in site.state.glob("journal.db*"):
        path.unlink()
    (site.root / "service" / "current").write_text("v2\n")
    async with receiver(site) as server:
        await until(lambda: bool(site.rows("SELECT 1 FROM freeze_reason")), DEADLINE_S, "the flag is taken up")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        (service,) = (await server.get("/api/v1/state"))["services"]
        assert (service["frozen"], service["on_disk"]) == (True, True)
        assert service["reasons"][0]["reason"].startswith("found at start: ")
        assert await server.post(FIRING) == 200
        await until(lambda: bool(site.rows("SELECT 1 FROM action WHERE state = 'SKIPPED'")), DEADLINE_S, "no rollback")
        assert site.lines("rollbacks") == ["v2"]
        await until(lambda: "rollback_skipped" in told(server), DEADLINE_S, "people are told")
        assert command(site, "unfreeze", "gateway", "--reason", "x").returncode == 0
        assert not site.flag.exists()


async def test_flags_are_taken_up_before_a_request_is_answered(site: Site) -> None:
    """Whoever hears that the receiver runs may remove the flags that a lost journal's receiver left: all are known."""
    for number in range(FLAGS):
        policy = default_policy(site)
        policy["name"] = policy["service"] = policy["rules"][0]["match"][1]["value"] = f"service-{number}"
        policy["actions"]["freeze"]["flag"] = str(site.root / "flags" / str(number) / "FREEZE.FLAG")
        (site.root / "policy" / f"{number}.policy.json").write_text(json.dumps(policy))
        (site.root / "flags" / str(number)).mkdir(parents=True)
        (site.root / "flags" / str(number) / "FREEZE.FLAG").touch()
    async with receiver(site) as server:
        (site.root / "flags").rename(site.root / "gone")
        services = (await server.get("/api/v1/state"))["services"]
        assert sum(service["frozen"] for service in services) == FLAGS
        flags = [site.root / "flags" / str(number) / "FREEZE.FLAG" for number in range(FLAGS)]
        await until(lambda: all(flag.is_file() for flag in flags), DEADLINE_S, "the flags are back")


@pytest.mark.parametrize("text", ["", "keep out, says Anna\nreally"], ids=["empty", "words"])
async def test_a_flag_made_by_hand_is_held_until_a_person_ends_it(site: Site, text: str) -> None:
    """An alert freezes too and resolves; the person's freeze stays."""
    site.settings["reconcile_every_s"] = 1
    site.write()
    site.flag.parent.mkdir()
    site.flag.write_text(text)
    async with receiver(site) as server:
        assert await server.post(FIRING) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert await server.post(body("0.34.2", "resolved")) == 200
        closed = "SELECT 1 FROM episode WHERE policy <> 'operator' AND state = 'CLOSED'"
        await until(lambda: bool(site.rows(closed)), DEADLINE_S, "the alert's episode is over")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        expected = ["made by hand" + (": keep out, says Anna" if text else "")]
        await until(lambda: reasons(site) == expected, DEADLINE_S, "the person's reason is left")
        assert await server.operate("unfreeze", service="gateway", reason="x") == 202
        await until(lambda: not site.flag.exists(), DEADLINE_S, "unfrozen by a person")


async def test_a_flag_made_by_hand_under_a_running_receiver_is_held(site: Site) -> None:
    """The next comparison finds the flag."""
    site.settings["reconcile_every_s"] = 1
    site.write()
    async with receiver(site) as server:
        await until(site.flag.parent.is_dir, DEADLINE_S, "the first heartbeat")
        site.flag.touch()
        await until(lambda: bool(site.rows("SELECT 1 FROM freeze_reason")), DEADLINE_S, "the flag is held")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert "gateway: FROZEN" in lines(await server.get("/api/v1/state"))[0]
        assert server.process.poll() is None
