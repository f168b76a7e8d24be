"""The whole loop of a running receiver: operators, event stream, undo, torn reads, repairs."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.receiver.harness import Receiver, Site, body, receiver, script
from tests.acceptance.receiver.test_kill_points import final
from tests.journals import exclusive
from tests.tools import ROOT, Generation, alertmanager_server, prometheus_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.usefixtures("sharing")]

DEADLINE_S = 30.0
READS = 2_000_000

READER = """
import json, os, sys
path, reads = sys.argv[1], int(sys.argv[2])
seen = torn = missing = 0
while seen + missing < reads:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        missing += 1
        continue
    text = os.read(fd, 1 << 20)
    os.close(fd)
    seen += 1
    if not (text.startswith(b'{') and text.endswith(b'}\\n')):
        torn += 1
print(json.dumps({"seen": seen, "torn": torn, "missing": missing}))
"""


def frozen(site: Site) -> bool:
    """Whether the flag is there."""
    return site.flag.exists()


async def test_a_reader_in_a_tight_loop_never_sees_a_partial_flag(tmp_path: Path) -> None:
    """Two million reads in another process while the service is frozen and unfrozen over and over.

    With a shared journal only the transactions differ, so a tenth of the reads is enough there.
    """
    reads = READS if exclusive() else READS // 10
    async with receiver(Site(root=tmp_path)) as server:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-c", READER, str(server.site.flag), str(reads), stdout=subprocess.PIPE
        )
        rounds = 0
        while reader.returncode is None:
            assert await server.operate("freeze", service="gateway", reason="x" * (rounds % 150 + 1)) == 202
            await until(lambda: frozen(server.site), DEADLINE_S, "frozen")
            assert await server.operate("unfreeze", service="gateway", reason="y") == 202
            await until(lambda: not frozen(server.site), DEADLINE_S, "unfrozen")
            rounds += 1
        output, _ = await reader.communicate()
        found = json.loads(output)
        assert found["torn"] == 0
        assert found["seen"] + found["missing"] == reads
        assert min(found["seen"], found["missing"], rounds) > 0


async def test_an_operator_freezes_acknowledges_and_unfreezes(tmp_path: Path) -> None:
    """Each is recorded with who and why; a repeat of the alert does not freeze again."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        assert await server.operate("unfreeze", service="gateway", reason="nothing there") == 409
        assert await server.operate("freeze", service="unknown", reason="typo") == 404
        assert await server.operate("freeze", service="gateway") == 422
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: final(site) and frozen(site), DEADLINE_S, "frozen")
        assert await server.operate("ack", service="gateway", by="alice") == 202
        assert await server.operate("ack", service="gateway", by="bob") == 202
        assert await server.operate("unfreeze", service="gateway", reason="false alarm", by="alice") == 202
        await until(lambda: not frozen(site), DEADLINE_S, "unfrozen")
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert not frozen(site)
        freeze_reasons = site.rows("SELECT ended_by, end_reason FROM freeze_reason")
        assert freeze_reasons == [("alice", "false alarm")]


async def events(server: Receiver, after: str, count: int) -> list[tuple[str, str, Any]]:
    """So many events of the stream: name, id, data."""
    found: list[tuple[str, str, Any]] = []
    headers = {"Authorization": f"Bearer {server.site.token('read')}"}
    async with server.http.get(f"{server.url}/api/v1/events{after}", headers=headers) as response:
        fields: dict[str, str] = {}
        async for raw in response.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            found.append((fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])))
            fields = {}
            if len(found) == count:
                break
    return found


async def test_the_event_stream_tells_notices_in_order_and_from_where_one_left(tmp_path: Path) -> None:
    """`after` gives what was missed, once; a number from the future starts anew."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        seen = [event for event in await events(server, "?after=0", 4) if event[0] == "notice"]
        assert [data["event"] for _, _, data in seen] == ["frozen", "rollback_started", "rollback_done"]
        assert [str(data["seq"]) for _, _, data in seen] == [number for _, number, _ in seen]
        assert sorted(seen[0][2]) == sorted(
            ("seq", "at", "episode", "service", "severity", "event", "title", "text", "url")
        )
        later = await events(server, f"?after={seen[1][1]}", 1)
        assert [data["event"] for _, _, data in later] == ["rollback_done"]
        ((name, _, data),) = await events(server, "?after=100000", 1)
        assert (name, sorted(data)) == ("reset", ["seq"])


async def test_a_running_rollback_is_ended_and_undone(tmp_path: Path) -> None:
    """Within the window: cancelled while it runs, then the undo command."""
    site = Site(root=tmp_path)
    service = tmp_path / "service"
    script(service / "rollback.sh", f"echo x >> {service}/rollbacks\nsleep 60\n")
    script(service / "redeploy.sh", f'echo "$FREEZELINE_FACT_RELEASE" > {service}/redeployed')
    undo = {"within_s": 60, "command": [str(service / "redeploy.sh")]}
    site.policy["actions"]["rollback"]["undo"] = undo
    site.write()
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: site.lines("rollbacks"), DEADLINE_S, "the rollback runs")
        running = "SELECT id FROM action WHERE type = 'rollback' AND state = 'RUNNING'"
        await until(lambda: site.rows(running), DEADLINE_S, "it is known to run")
        ((action,),) = site.rows(running)
        assert await server.operate("cancel", action=action, reason="wrong alarm", by="alice") == 202
        await until(lambda: final(site), DEADLINE_S, "cancelled and undone")
        states = dict(site.rows("SELECT type, state FROM action WHERE type IN ('rollback', 'undo')"))
        assert states == {"rollback": "CANCELLED", "undo": "SUCCEEDED"}
        assert (service / "redeployed").read_text() == "v2\n", "the undo knows the release that was rolled back"
        assert site.rows("SELECT payload ->> 'release' FROM action WHERE type = 'undo'") == [("v2",)]
        assert await server.operate("cancel", action="none", reason="x") == 404


async def test_five_alerts_about_one_release_make_one_rollback(tmp_path: Path) -> None:
    """Five episodes share one rollback and one start."""
    site = Site(root=tmp_path)
    site.policy["rules"][0]["match"] = [{"label": "service", "op": "=", "value": "gateway"}]
    site.write()
    raw = json.loads(body("0.34.2", "group"))
    raw["alerts"].append(json.loads(body("0.34.2", "firing"))["alerts"][0])
    async with receiver(site) as server:
        assert await server.post(json.dumps(raw).encode()) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert site.lines("rollbacks") == ["v2"]
        assert site.rows("SELECT state FROM action WHERE type = 'rollback'") == [("SUCCEEDED",)]
        assert len(json.loads(site.flag.read_text())["reasons"]) == 5
        assert site.rows("SELECT count(*) FROM action WHERE key LIKE 'notice:log:%:frozen'") == [(1,)]


async def test_a_flag_that_is_removed_or_edited_comes_back(tmp_path: Path) -> None:
    """Within the reconciler's time, recorded each time."""
    site = Site(root=tmp_path, settings={"reconcile_every_s": 1})
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: final(site) and frozen(site), DEADLINE_S, "frozen")
        site.flag.unlink()
        await until(lambda: frozen(site), DEADLINE_S, "it is back")
        restored = "SELECT sentence FROM decision WHERE kind = 'flag_restored'"
        await until(lambda: len(site.rows(restored)) == 1, DEADLINE_S, "and recorded")
        site.flag.write_text("not frozen, honestly\n")
        await until(lambda: site.flag.read_text().startswith("{"), DEADLINE_S, "it is whole")
        await until(lambda: len(site.rows(restored)) == 2, DEADLINE_S, "and recorded")
        ends = [sentence.rpartition("FREEZE.FLAG ")[2] for (sentence,) in site.rows(restored)]
        assert ends == [
            "was removed by hand: the receiver restored the flag",
            "was edited by hand: the receiver restored the flag",
        ]


async def test_a_freezer_that_fails_is_tried_again(tmp_path: Path) -> None:
    """The flag does not wait for it, nor the rollback."""
    site = Site(root=tmp_path)
    service = tmp_path / "service"
    script(service / "freezer.sh", f"echo $1 >> {service}/freezer; test -e {service}/repaired")
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        waiting = "SELECT 1 FROM action WHERE type = 'freeze' AND state = 'RETRY_WAIT'"
        await until(lambda: site.rows(waiting) and site.lines("rollbacks"), DEADLINE_S, "tried, and waiting")
        assert frozen(site)
        (service / "repaired").touch()
        await until(lambda: final(site), DEADLINE_S, "done after all")
        assert site.lines("freezer").count("on") >= 2


ALERTMANAGER = "route: {receiver: freezeline}\nreceivers: [{name: freezeline}]\n"


@pytest.mark.old_in_soak
async def test_lost_messages_are_found_by_asking_alertmanager(generation: Generation, tmp_path: Path) -> None:
    """A firing that was never sent opens; a resolve that was never sent unfreezes."""
    with alertmanager_server(generation, tmp_path / "am", ALERTMANAGER) as alertmanager:
        settings = {"alertmanagers": [alertmanager.url], "alertmanager_settle_s": 0, "reconcile_every_s": 1}
        site = Site(root=tmp_path, settings=settings)
        async with receiver(site):
            labels = {"alertname": "FailureRateHigh", "service": "gateway", "severity": "critical"}
            one = {"labels": labels, "annotations": {"summary": "lost"}}
            alertmanager.post_alerts([one])
            await until(lambda: frozen(site), DEADLINE_S, "the lost firing was found")
            await until(lambda: final(site), DEADLINE_S, "everything is over")
            ended = {**one, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:01Z"}
            alertmanager.post_alerts([ended])
            await until(lambda: not frozen(site), 60, "the lost resolve was found")
            reasons = site.rows("SELECT sentence FROM decision WHERE kind = 'resolving'")
            assert reasons[0][0].startswith("Alertmanager has not known FailureRateHigh of gateway as firing for 30 s")


@pytest.mark.old_in_soak
async def test_a_budget_condition_holds_the_freeze_until_prometheus_says_so(
    generation: Generation, tmp_path: Path
) -> None:
    """No data keeps it; true for its time ends it."""
    config = "scrape_configs: []\nrule_files: [r.yml]\nglobal: {evaluation_interval: 1s}\n"
    rules = tmp_path / "prometheus" / "r.yml"
    rules.parent.mkdir()
    rules.write_text("groups: []\n")
    with prometheus_server(generation, tmp_path / "prometheus", config) as prometheus:
        site = Site(root=tmp_path, settings={"prometheus": {"url": prometheus.url}, "reconcile_every_s": 1})
        condition = {"id": "budget", "query": "budget_remaining", "op": ">=", "value": "0.10", "held_for_s": 2}
        site.policy["rules"][0]["unfreeze"] = {"resolved_for_s": 0, "all_of": [condition]}
        site.write()
        async with receiver(site) as server:
            assert await server.post(body("0.34.2", "firing")) == 200
            await until(lambda: final(site) and frozen(site), DEADLINE_S, "frozen")
            assert await server.post(body("0.34.2", "resolved")) == 200
            checked = "SELECT state FROM episode"
            await until(lambda: site.rows(checked) == [("RESOLVING",)], DEADLINE_S, "resolving")
            rule = "groups: [{name: g, rules: [{record: budget_remaining, expr: vector(0.5)}]}]\n"
            assert frozen(site)
            rules.write_text(rule)
            prometheus.reload()
            await until(lambda: not frozen(site), DEADLINE_S, "unfrozen by the budget")
            assert site.rows(checked) == [("CLOSED",)]


def test_replay_says_what_would_happen_and_does_nothing(tmp_path: Path) -> None:
    """No flag, no state."""
    site = Site(root=tmp_path)
    payload = tmp_path / "payload.json"
    payload.write_bytes(body("0.34.2", "firing"))
    done = subprocess.run(
        [sys.executable, "-m", "freezeline", "replay", str(payload), "--policy", str(tmp_path / "policy")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "FailureRateHigh firing:",
        (
            "  FailureRateHigh of gateway: failure rate 2.31 % > 0.5 %. "
            "Rule failure-budget/failure-rate-high starts: freeze, rollback, fallback, tell"
        ),
        "    freeze freeze",
        "    rollback rollback",
        "    switch fallback",
    ]
    assert (frozen(site), list(site.state.iterdir())) == (False, [])
