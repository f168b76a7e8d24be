"""The webhook of a running receiver: what it takes, what it refuses, and that hostile text stays text."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.receiver.harness import NAMES, VERSIONS, Site, body, peers, receiver, script
from tests.acceptance.receiver.test_kill_points import final
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("sharing")]

DEADLINE_S = 30.0


async def test_the_same_webhook_a_hundred_times_at_once_from_three_senders(tmp_path: Path) -> None:
    """One flag, one rollback, one notice an event and channel, and every body in the journal."""
    site = Site(root=tmp_path)
    bodies = peers(body("0.34.2", "firing"))
    async with receiver(site) as server:
        answers = await asyncio.gather(*(server.post(bodies[number % 3]) for number in range(300)))
        assert set(answers) == {200}
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert site.lines("rollbacks") == ["v2"]
        assert site.lines("freezer") == ["on"]
        assert len(json.loads(site.flag.read_text())["reasons"]) == 1
        assert site.rows("SELECT count(*) FROM episode") == [(1,)]
        told = site.rows("SELECT name, payload ->> 'event', count(*) FROM action WHERE type = 'notify' GROUP BY 1, 2")
        assert sorted(told) == [
            (channel, event, 1)
            for channel in ("log", "toast")
            for event in ("frozen", "rollback_done", "rollback_started")
        ]
        journaled = dict(site.rows("SELECT sha256, count FROM delivery"))
        assert journaled == {hashlib.sha256(one).hexdigest(): 100 for one in bodies}


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_captured_body_is_taken(version: str, tmp_path: Path) -> None:
    """All six of a version, and the receiver is well afterwards."""
    async with receiver(Site(root=tmp_path)) as server:
        assert [await server.post(body(version, name)) for name in NAMES] == [200] * len(NAMES)
        components = (await server.get("/health"))["components"]
        assert (components["journal"], components["loops"]) == ("ok", "ok")
        seen = server.site.rows("SELECT count(*) FROM alert_seen")
        assert seen == [(6,)]


async def test_requests_that_are_refused_harm_nothing(tmp_path: Path) -> None:
    """Each with its status; afterwards the same process still takes webhooks."""
    async with receiver(Site(root=tmp_path)) as server:
        good = body("0.34.2", "firing")
        assert await server.post(b"not json") == 422
        assert await server.post(b'{"alerts": 7}') == 422
        assert await server.post(good, token="wrong") == 401
        assert await server.post(good, token=server.site.token("read")) == 401
        assert await server.post(good, token=server.site.token("operate")) == 401
        assert await server.post(good, Host="evil.example.org") == 421
        assert await server.post(good, Origin="http://evil.example.org") == 403
        assert await server.post(io.BytesIO(b"x" * (50 * 1024 * 1024))) == 413
        assert await server.post(good) == 200
        assert server.process.poll() is None


async def test_every_read_wants_a_token(tmp_path: Path) -> None:
    """Only /health is open; it tells no more than ok."""
    async with receiver(Site(root=tmp_path)) as server:
        for path in ("/metrics", "/health/detailed", "/api/v1/state", "/api/v1/decisions", "/api/v1/events"):
            async with server.http.get(server.url + path) as response:
                assert (path, response.status) == (path, 401)
        async with server.http.get(server.url + "/health") as response:
            assert response.status == 200
            assert sorted(await response.json()) == ["components", "status", "timestamp", "version"]


async def test_nine_of_ten_alerts_are_taken(tmp_path: Path) -> None:
    """The malformed one is put aside, counted and journaled."""
    raw = json.loads(body("0.34.2", "group"))
    raw["alerts"] = [
        {**raw["alerts"][0], "fingerprint": f"{number:016x}", "labels": {"alertname": f"A{number}"}}
        for number in range(10)
    ]
    raw["alerts"][3]["startsAt"] = "never"
    async with receiver(Site(root=tmp_path)) as server:
        assert await server.post(json.dumps(raw).encode()) == 200
        assert server.site.rows("SELECT count(*) FROM alert_seen") == [(9,)]
        assert server.site.rows("SELECT sentence FROM decision WHERE kind = 'quarantined'") == [
            ("Alert 3 of a delivery was put aside: startsAt is not a time",)
        ]
        assert "freezeline_alerts_quarantined_total 1.0" in await server.get("/metrics")


async def test_identifiers_run_through(tmp_path: Path) -> None:
    """From the request into its answer, the log, the journal, the rollback's environment and the notices."""
    site = Site(root=tmp_path)
    script(tmp_path / "service" / "rollback.sh", f"env > {tmp_path}/env; echo v1 > {tmp_path}/service/current")
    async with receiver(site) as server:
        headers = {"Authorization": f"Bearer {site.token('webhook')}", "X-Request-ID": "req-1", "X-Trace-ID": "trace-1"}
        async with server.http.post(
            server.url + "/webhook", data=body("0.34.2", "firing"), headers=headers
        ) as response:
            assert (response.headers["X-Request-ID"], response.headers["X-Trace-ID"]) == ("req-1", "trace-1")
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert "FREEZELINE_FACT_TRACE_ID=trace-1" in (tmp_path / "env").read_text().splitlines()
        assert site.rows("SELECT trace_id FROM decision WHERE kind = 'opened'") == [("trace-1",)]
        records = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        assert any(record.get("notice", {}).get("trace_id") == "trace-1" for record in records)
        assert any(record["message"] == "request" and record["request_id"] == "req-1" for record in records)
        headers["X-Trace-ID"] = "bad id; rm -rf /"
        async with server.http.post(
            server.url + "/webhook", data=body("0.34.2", "firing"), headers=headers
        ) as response:
            assert len(response.headers["X-Trace-ID"]) == 32


@pytest.mark.parametrize("version", VERSIONS)
async def test_hostile_labels_are_inert(version: str, tmp_path: Path) -> None:
    """In the log, the flag, Slack's text, the environment and on a terminal."""
    async with running(SlackFake(), SLACK_PATH) as slack:
        secret = tmp_path / "slack-url"
        secret.write_text(slack.url)
        channels = {"log": {"type": "log"}, "slack": {"type": "slack", "url_file": str(secret)}}
        site = Site(root=tmp_path, settings={"channels": channels})
        script(tmp_path / "service" / "rollback.sh", f"env -0 > {tmp_path}/env; echo v1 > {tmp_path}/service/current")
        async with receiver(site) as server:
            raw = json.loads(body(version, "hostile"))
            raw["alerts"][0]["annotations"]["summary"] = "<!channel> <@U1> *x* \x1b[31m\n{{7*7}} \u202etxt.exe"
            assert await server.post(json.dumps(raw).encode()) == 200
            await until(lambda: final(site), DEADLINE_S, "everything is over")
            check_log(server.log)
            reason = json.loads(site.flag.read_text())["reasons"][0]["reason"]
            assert reason == "<!channel> <@U1> *x* [31m {{7*7}} txt.exe"
            sent = json.dumps(slack.received, ensure_ascii=False)
            assert ("<!channel>" in sent, "<@U1>" in sent, "{{7*7}}" in sent) == (False, False, True)
            check_environment(tmp_path / "env", raw["alerts"][0]["labels"])
            check_terminal(site)


def check_log(path: Path) -> None:
    """One line a record, each a JSON object of printable ASCII."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith("listening on ") or lines[0].startswith("{")
    records = [line for line in lines if not line.startswith("listening on ")]
    assert all(line.isascii() and line.isprintable() for line in records)
    assert all(json.loads(line)["service"] == "freezeline-receiver" for line in records)


def check_environment(path: Path, labels: dict[str, str]) -> None:
    """Facts hold no control characters; labels come as JSON, unexpanded; nothing else is inherited."""
    pairs = dict(entry.split("=", 1) for entry in path.read_bytes().decode().split("\0") if entry)
    facts = {name: value for name, value in pairs.items() if name.startswith("FREEZELINE_FACT_")}
    assert all(value.isprintable() for value in facts.values())
    assert json.loads(facts["FREEZELINE_FACT_LABELS_JSON"]) == labels
    rest = pairs.keys() - facts.keys() - {"PATH", "HOME", "LANG", "TZ", "PWD", "SHLVL", "_", "FREEZELINE_RUN"}
    assert rest == set()


def check_terminal(site: Site) -> None:
    """`freezeline status` and `journal` print nothing that steers a terminal."""
    for command in ("status", "journal"):
        shown = subprocess.run(
            [sys.executable, "-m", "freezeline", command, "--state", str(site.state)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=dict(os.environ),
            timeout=60,
        ).stdout
        assert all(line.isprintable() for line in shown.splitlines())
        assert "FROZEN" in shown or " starts: " in shown


async def test_a_stopping_receiver_answers_503_and_finishes(tmp_path: Path) -> None:
    """SIGTERM while a rollback runs: new webhooks are put off, the rollback is recorded, exit 0."""
    site = Site(root=tmp_path)
    rollback = f"echo x >> {tmp_path}/service/rollbacks; sleep 2; echo v1 > {tmp_path}/service/current"
    script(tmp_path / "service" / "rollback.sh", rollback)
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: site.lines("rollbacks"), DEADLINE_S, "the rollback runs")
        server.process.terminate()
        await until(lambda: '"message":"stopping"' in server.log.read_text(), DEADLINE_S, "it stops")
        assert await server.post(body("0.34.2", "firing")) == 503
        assert await server.died() == 0
    assert site.rows("SELECT state FROM action WHERE type = 'rollback'") == [("SUCCEEDED",)]


async def test_a_rollback_goes_on_without_the_receiver(tmp_path: Path) -> None:
    """A stop that does not wait leaves it to its runner; the next start takes it up."""
    site = Site(root=tmp_path, settings={"stop_wait_s": 0})
    rollback = f"echo x >> {tmp_path}/service/rollbacks; sleep 2; echo v1 > {tmp_path}/service/current"
    script(tmp_path / "service" / "rollback.sh", rollback)
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(lambda: site.lines("rollbacks"), DEADLINE_S, "the rollback runs")
        state = "SELECT state FROM action WHERE type = 'rollback'"
        await until(lambda: site.rows(state) == [("RUNNING",)], DEADLINE_S, "and is known to run")
        assert await server.stop() == 0
    assert site.rows(state) == [("RUNNING",)]
    async with receiver(site):
        await until(lambda: final(site), DEADLINE_S, "it is taken up and verified")
    assert site.rows("SELECT state FROM action WHERE type = 'rollback'") == [("SUCCEEDED",)]
    assert site.lines("rollbacks") == ["x"]


async def test_a_second_receiver_on_the_same_state_does_not_start(tmp_path: Path) -> None:
    """Exit code 3, and the first goes on."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "freezeline", "serve", "--listen", "127.0.0.1:0"),
            *("--policy", str(tmp_path / "policy"), "--state", str(site.state)),
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        _, said = await asyncio.wait_for(second.communicate(), DEADLINE_S)
        assert (second.returncode, b"runs with this state. Name a directory of its own with --state" in said) == (
            3,
            True,
        )
        assert await server.post(body("0.34.2", "firing")) == 200


async def test_bad_policies_are_refused_with_every_problem(tmp_path: Path) -> None:
    """On SIGHUP, and after a restart, the last good ones stay in force."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        site.policy["rules"][0]["do"] = ["freeze", "explode"]
        site.write()
        (tmp_path / "policy" / "gateway.policy.json").chmod(0o666)
        server.process.send_signal(1)
        await until(lambda: "policy.problem" in server.log.read_text(), DEADLINE_S, "the reload was refused")
        assert "freezeline_policy_load_ok 0.0" in await server.get("/metrics")
        assert await server.post(body("0.34.2", "firing")) == 200
        await until(site.flag.exists, DEADLINE_S, "the last good policy froze")
        assert await server.stop() == 0
    async with receiver(site) as server:
        assert "freezeline_policy_load_ok 0.0" in await server.get("/metrics")
        assert (await server.get("/health"))["status"] == "degraded"
        (tmp_path / "policy" / "gateway.policy.json").chmod(0o644)
        site.policy["rules"][0]["do"] = ["freeze", "tell"]
        site.write()
        server.process.send_signal(1)
        await until(lambda: "policy.loaded" in server.log.read_text(), DEADLINE_S, "the reload was taken")
        assert "freezeline_policy_load_ok 1.0" in await server.get("/metrics")


async def test_bad_policies_at_the_first_start_end_it(tmp_path: Path) -> None:
    """Exit code 1, and every problem is said."""
    site = Site(root=tmp_path)
    site.policy["rules"][0]["do"] = ["freeze", "explode"]
    site.policy["actions"]["tell"]["channels"] = ["nobody"]
    site.write()
    async with receiver(site) as server:
        assert await server.died() == 1
        said = server.log.read_text()
        assert ("[policy/unknown-action]" in said, "[policy/unknown-channel]" in said) == (True, True)
