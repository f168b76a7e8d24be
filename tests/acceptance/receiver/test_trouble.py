"""When things go wrong around a running receiver: channels, freezers, rollbacks, directories, old messages."""

import json
from pathlib import Path

import pytest

from tests.acceptance.receiver.harness import Receiver, Site, body, receiver, script
from tests.acceptance.receiver.test_kill_points import final
from tests.fakes.faults import Answer
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.tools import Generation, alertmanager_server
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("sharing")]

DEADLINE_S = 30.0
QUIET_ALERTMANAGER = "route: {receiver: freezeline}\nreceivers: [{name: freezeline}]\n"


async def fire(server: Receiver) -> None:
    """Fire, and wait until everything is over."""
    assert await server.post(body("0.34.2", "firing")) == 200
    await until(lambda: final(server.site), DEADLINE_S, "everything is over")


def slack_site(root: Path, slack: SlackFake) -> Site:
    """A site that tells Slack, with the log to fall back on."""
    secret = root / "slack-url"
    secret.write_text(slack.url)
    channels = {"log": {"type": "log"}, "slack": {"type": "slack", "url_file": str(secret)}}
    site = Site(root=root, settings={"channels": channels})
    tell = {"type": "notify", "channels": ["slack"], "fallback": ["log"], "events": ["frozen"]}
    site.policy["actions"]["tell"] = tell
    site.write()
    return site


async def test_a_refused_notice_is_a_dead_letter_and_can_be_sent_again(tmp_path: Path) -> None:
    """The fallback says what was lost; `dlq` lists it, and sends it once more."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        slack.faults.append(Answer(status=403, body="invalid_token"))
        site = slack_site(tmp_path, slack)
        async with receiver(site) as server:
            await fire(server)
            ((letter,),) = site.rows("SELECT id FROM action WHERE state = 'DEAD'")
            records = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
            told = [record["notice"] for record in records if record["message"] == "notice"]
            assert [one["event"] for one in told] == ["dead_letter"]
            assert "slack failed" in told[0]["text"]
            assert 'freezeline_dead_letters{channel="slack"} 1.0' in await server.get("/metrics")
            assert await server.operate("dlq", action=letter) == 202
            await until(lambda: slack.received, DEADLINE_S, "sent again")
            await until(lambda: final(site), DEADLINE_S, "and recorded")
            state = await server.get("/api/v1/state")
            assert state["dead_letters"] == []


async def test_a_channel_that_fails_for_a_while_is_tried_again(tmp_path: Path) -> None:
    """Two answers of 503, then it is told once."""
    slack = SlackFake()
    async with running(slack, SLACK_PATH):
        slack.faults.extend([Answer(status=503), Answer(status=429, retry_after="1")])
        site = slack_site(tmp_path, slack)
        async with receiver(site) as server:
            await fire(server)
            assert [message["text"] for message in slack.received] == ["gateway is frozen"]
            assert slack.attempts == 3


async def test_a_rollback_that_cannot_be_verified_is_told_and_not_repeated(tmp_path: Path) -> None:
    """DEAD, and a redelivery starts nothing."""
    site = Site(root=tmp_path)
    site.policy["actions"]["rollback"]["verify"]["timeout_s"] = 1
    site.write()
    service = tmp_path / "service"
    script(service / "rollback.sh", f"echo x >> {service}/rollbacks; exit 3")
    async with receiver(site) as server:
        await fire(server)
        await fire(server)
        assert site.lines("rollbacks") == ["x"]
        ((state, result),) = site.rows("SELECT state, result FROM action WHERE type = 'rollback'")
        assert (state, json.loads(result)["code"]) == ("DEAD", "3")
        events = {event for (event,) in site.rows("SELECT json_extract(payload, '$.event') FROM action")}
        assert "rollback_failed" in events


async def test_a_release_that_cannot_be_read_still_rolls_back_once(tmp_path: Path) -> None:
    """Once per episode then; and the verification stands."""
    site = Site(root=tmp_path)
    script(tmp_path / "service" / "current.sh", "exit 1")
    async with receiver(site) as server:
        await fire(server)
        await fire(server)
        states = site.rows("SELECT state, key LIKE 'rollback:gateway:episode:%' FROM action WHERE type = 'rollback'")
        assert states == [("SUCCEEDED", 1)]
        assert len((tmp_path / "service" / "rollbacks").read_text().splitlines()) == 1


async def test_a_command_that_was_tampered_with_is_not_run(tmp_path: Path) -> None:
    """Writable by others since the policy was loaded: the rollback waits, and says so."""
    site = Site(root=tmp_path)
    async with receiver(site) as server:
        (tmp_path / "service" / "rollback.sh").chmod(0o777)
        assert await server.post(body("0.34.2", "firing")) == 200
        postponed = "SELECT sentence FROM decision WHERE kind = 'rollback_postponed'"
        await until(lambda: site.rows(postponed), DEADLINE_S, "the rollback is postponed")
        assert "the group or other users can write this file" in site.rows(postponed)[0][0]
        assert site.lines("rollbacks") == []
        (tmp_path / "service" / "rollback.sh").chmod(0o755)
        await until(lambda: final(site), DEADLINE_S, "it runs once it is safe")
        assert site.lines("rollbacks") == ["v2"]


async def test_a_flag_directory_that_others_can_write_is_refused_until_mended(tmp_path: Path) -> None:
    """The freeze is tried again for ever; the rollback waits for it."""
    site = Site(root=tmp_path)
    site.flag.parent.mkdir()
    site.flag.parent.chmod(0o777)
    async with receiver(site) as server:
        assert await server.post(body("0.34.2", "firing")) == 200
        failed = "SELECT sentence FROM decision WHERE kind = 'freeze_failed'"
        await until(lambda: site.rows(failed), DEADLINE_S, "the freeze failed")
        assert (site.flag.exists(), site.lines("rollbacks")) == (False, [])
        site.flag.parent.chmod(0o755)
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert (site.flag.exists(), site.lines("rollbacks")) == (True, ["v2"])


async def test_a_legacy_file_comes_and_goes_with_the_flag(tmp_path: Path) -> None:
    """In its own format; what a label says fills in nothing else."""
    site = Site(root=tmp_path)
    legacy = tmp_path / "frozen.txt"
    text = "frozen={reason} by {service} {unknown}\n"
    site.policy["actions"]["freeze"]["legacy"] = [{"file": str(legacy), "text": text}]
    site.write()
    raw = json.loads(body("0.34.2", "firing"))
    raw["alerts"][0]["annotations"]["summary"] = "{service} {0} is bad"
    async with receiver(site) as server:
        assert await server.post(json.dumps(raw).encode()) == 200
        await until(lambda: final(site), DEADLINE_S, "everything is over")
        assert legacy.read_text() == "frozen={service} {0} is bad by gateway {unknown}\n"
        assert await server.operate("unfreeze", service="gateway", reason="x") == 202
        await until(lambda: final(site), DEADLINE_S, "unfrozen")
        assert (legacy.exists(), site.flag.exists()) == (False, False)


async def test_an_old_message_after_the_end_opens_nothing(generation: Generation, tmp_path: Path) -> None:
    """Alertmanager is asked and knows nothing of it; where it does, an episode opens."""
    with alertmanager_server(generation, tmp_path / "am", QUIET_ALERTMANAGER) as alertmanager:
        site = Site(root=tmp_path, settings={"alertmanagers": [alertmanager.url], "alertmanager_settle_s": 0})
        async with receiver(site) as server:
            await fire(server)
            assert await server.post(body("0.34.2", "resolved")) == 200
            closed = "SELECT state FROM episode ORDER BY generation"
            await until(lambda: site.rows(closed) == [("CLOSED",)], DEADLINE_S, "closed")
            assert await server.post(body("0.34.2", "firing")) == 200
            kinds = "SELECT kind FROM decision WHERE kind LIKE 'doubt%'"
            expected = [("doubted",), ("doubt_settled",)]
            await until(lambda: site.rows(kinds) == expected, DEADLINE_S, "doubted and settled")
            assert site.rows(closed) == [("CLOSED",)]
            labels = {"alertname": "FailureRateHigh", "service": "gateway", "severity": "critical"}
            alertmanager.post_alerts([{"labels": labels}])
            assert await server.post(body("0.34.2", "firing")) == 200
            await until(lambda: len(site.rows(closed)) == 2, DEADLINE_S, "confirmed and opened")
