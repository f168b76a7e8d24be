"""Notices of a real receiver through every channel: hostile labels, limits, refusals, escalation, restarts."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from tests.acceptance.receiver.harness import VERSIONS, Receiver, Site, body, receiver
from tests.fakes.faults import Answer
from tests.fakes.http import (
    ROUTING_KEY,
    SLACK_API_PATH,
    SLACK_PATH,
    SLACK_TOKEN,
    PagerDutyFake,
    SlackApiFake,
    SlackFake,
    running,
)
from tests.fakes.smtp import SmtpFake, running_smtp
from tests.waiting import until

pytestmark = pytest.mark.acceptance

TOAST = (sys.executable, "-m", "freezeline", "toast", "--print", "--json", "--after", "0")
TOLD_WITHIN_S = 5.0
"""The promise: from the alert to its notice."""
DEADLINE_S = 20.0


class World(Struct, kw_only=True):
    """The stand-ins, and a site whose channels lead to them."""

    site: Site
    slack: SlackFake = field(default_factory=SlackFake)
    bot: SlackApiFake = field(default_factory=SlackApiFake)
    pagerduty: PagerDutyFake = field(default_factory=PagerDutyFake)
    smtp: SmtpFake = field(default_factory=SmtpFake)

    def tell(self, **changes: Any) -> None:
        """Change how the policy tells, or anything else of the policy."""
        for key, value in changes.items():
            if key in {"channels", "events", "fallback"}:
                self.site.policy["actions"]["tell"][key] = value
            else:
                self.site.policy[key] = value
        self.site.write()

    def slack_texts(self) -> list[str]:
        """What Slack got, message by message."""
        return ["\n".join([one["text"], *(b["text"]["text"] for b in one["blocks"])]) for one in self.slack.received]

    def slack_heads(self) -> list[str]:
        """Headers of the messages that Slack got."""
        return [one["blocks"][0]["text"]["text"] for one in self.slack.received]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Stand-ins that run, and a site in which each channel is told that gateway is frozen."""
    async with AsyncExitStack() as stack:
        made = World(site=Site(root=tmp_path))
        await stack.enter_async_context(running(made.slack, SLACK_PATH))
        await stack.enter_async_context(running(made.bot, SLACK_API_PATH))
        await stack.enter_async_context(running(made.pagerduty, "/v2/enqueue"))
        await stack.enter_async_context(running_smtp(made.smtp))
        (tmp_path / "slack-url").write_text(made.slack.url)
        (tmp_path / "slack-token").write_text(SLACK_TOKEN)
        (tmp_path / "pd-key").write_text(ROUTING_KEY)
        made.site.settings = {
            "public_url": "http://127.0.0.1:9099",
            "channels": {
                "log": {"type": "log"},
                "toast": {"type": "toast"},
                "slack": {"type": "slack", "url_file": str(tmp_path / "slack-url"), "timeout_s": 2},
                "bot": {
                    "type": "slack-bot",
                    "token_file": str(tmp_path / "slack-token"),
                    "channel": "#payments",
                    "api": made.bot.url.rpartition("/")[0],
                },
                "pd": {"type": "pagerduty", "routing_key_file": str(tmp_path / "pd-key"), "url": made.pagerduty.url},
                "mail": {"type": "email", "to": "oncall@example.org", "smtp": f"smtp://127.0.0.1:{made.smtp.port}"},
            },
        }
        made.tell(channels=["log", "toast", "slack", "pd", "mail"], events=["frozen"], fallback=["log"])
        yield made


@asynccontextmanager
async def toasts(running_receiver: Receiver, tmp_path: Path) -> AsyncIterator[asyncio.StreamReader]:
    """`freezeline toast --print --json` on the receiver's stream; gives its output."""
    token = running_receiver.site.state / "tokens" / "read"
    options = ("--url", running_receiver.url, "--public-url", "http://127.0.0.1:9099", "--token-file", str(token))
    process = await asyncio.create_subprocess_exec(
        *TOAST,
        *options,
        "--seen-file",
        str(tmp_path / "seen.json"),
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def next_toast(output: asyncio.StreamReader) -> dict[str, Any]:
    """The next toast, within a deadline."""
    line = await asyncio.wait_for(output.readline(), 20)
    assert line.decode().removesuffix("\n").isprintable()
    shown: dict[str, Any] = json.loads(line)
    return shown


def logged(running_receiver: Receiver, event: str) -> list[dict[str, Any]]:
    """Notices of an event in the receiver's log; every line of it must be one JSON record."""
    lines = [line for line in running_receiver.log.read_text().splitlines() if not line.startswith("listening on ")]
    records = [json.loads(line) for line in lines]
    return [one["notice"] for one in records if one["message"] == "notice" and one["notice"]["event"] == event]


@pytest.mark.timed
@pytest.mark.parametrize("version", VERSIONS)
async def test_hostile_labels_are_inert_in_every_channel(world: World, tmp_path: Path, version: str) -> None:
    """The captured hostile webhook: each channel is told once, within time, and nothing in it does anything."""
    hostile = json.loads(body(version, "hostile"))
    labels, annotations = hostile["alerts"][0]["labels"], hostile["alerts"][0]["annotations"]
    annotations["summary"] = f"{labels['route']} {annotations['description']} @here http://evil.example \x1b[31m\u202e"
    sent_at = datetime.now(UTC)
    async with receiver(world.site) as running_receiver, toasts(running_receiver, tmp_path) as output:
        assert await running_receiver.post(json.dumps(hostile).encode()) == 200
        toast = await next_toast(output)
        await until(
            lambda: world.slack.received and world.pagerduty.received and world.smtp.received,
            TOLD_WITHIN_S,
            "the notices",
        )
        await until(lambda: logged(running_receiver, "frozen"), TOLD_WITHIN_S, "the record")
        (record,) = logged(running_receiver, "frozen")
        assert world.site.flag.exists()
        ((incident,),) = world.site.rows("SELECT incident FROM episode")
    assert (len(world.slack.received), len(world.pagerduty.received), len(world.smtp.received)) == (1, 1, 1)
    assert (toast["title"], toast["url"]) == ("gateway is frozen", f"http://127.0.0.1:9099/page/incident?id={incident}")
    assert (record["title"], record["repeat"]) == ("gateway is frozen", False)
    slack = world.slack_texts()[0]
    assert [bad for bad in ("<!channel>", "<script>", "@here", "http://evil", "\x1b", "\u202e") if bad in slack] == []
    assert "&lt;script&gt;" in slack
    details = world.pagerduty.received[0]["payload"]["custom_details"]
    assert all(value.isprintable() for value in details.values())
    mail = world.smtp.received[0]
    assert (mail["To"], mail["Bcc"], mail["Subject"]) == ("oncall@example.org", None, "[critical] gateway is frozen")
    assert "\x1b" not in mail.get_content()
    assert (datetime.now(UTC) - sent_at).total_seconds() < 60


@pytest.mark.timed
async def test_a_rate_limit_delays_one_channel_and_no_other(world: World) -> None:
    """429 with Retry-After: told once, not before; the others do not wait."""
    world.slack.faults.append(Answer(status=429, retry_after="3"))
    async with receiver(world.site) as running_receiver:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        await until(lambda: world.pagerduty.received and world.smtp.received, TOLD_WITHIN_S, "the other notices")
        assert world.slack.received == []
        await until(lambda: world.slack.received, 15, "the delayed notice")
        assert loop.time() - begun >= 3
    assert (world.slack_heads(), world.slack.attempts) == (["gateway is frozen"], 2)


async def test_a_refusal_becomes_a_dead_letter_with_a_fallback_and_can_be_sent_again(world: World) -> None:
    """404 is given up at once: the fallback says so; an operator sends it again once Slack is mended."""
    world.tell(channels=["slack"])
    world.slack.faults.append(Answer(status=404, body="no_service"))
    async with receiver(world.site) as running_receiver:
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        await until(lambda: logged(running_receiver, "dead_letter"), DEADLINE_S, "the fallback's notice")
        (instead,) = logged(running_receiver, "dead_letter")
        assert "slack failed: 404 no_service" in instead["text"]
        (letter,) = (await running_receiver.get("/api/v1/state"))["dead_letters"]
        assert await running_receiver.operate("dlq", action=letter["id"]) == 202
        await until(lambda: world.slack.received, DEADLINE_S, "the notice sent again")
        assert (await running_receiver.get("/api/v1/state"))["dead_letters"] == []
        text = running_receiver.log.read_text()
    assert world.slack_heads() == ["gateway is frozen"]
    assert SLACK_PATH.rpartition("/")[2] not in text


async def test_escalation_stops_at_the_acknowledgement_and_survives_a_restart(world: World) -> None:
    """Level 1 at once, level 2 after a second, each once though we are killed; level 3 never: acknowledged."""
    levels = [(0, "devops"), (1, "tech-lead"), (9, "everyone")]
    world.tell(
        events=["frozen"],
        channels=["log"],
        escalation=[{"after_s": after_s, "to": to, "channels": ["slack"]} for after_s, to in levels],
    )
    async with receiver(world.site) as running_receiver:
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        told = "SELECT count(*) FROM action WHERE key LIKE '%:escalation:%' AND state = 'SUCCEEDED'"
        await until(lambda: world.site.rows(told) == [(2,)], 8, "levels 1 and 2")
        assert await running_receiver.operate("ack", service="gateway", by="Ana") == 202
        running_receiver.process.kill()
    async with receiver(world.site):
        due = "SELECT count(*) FROM action WHERE key LIKE '%:escalation:%'"
        opened = datetime.fromisoformat(world.site.rows("SELECT opened_at FROM episode")[0][0])
        await until(lambda: (datetime.now(UTC) - opened).total_seconds() > 10, 20, "the time of level 3")
        assert world.site.rows(due) == [(2,)]
    # Both are under way within a second: they may arrive in either order.
    assert sorted(world.slack_heads()) == [
        "gateway: nobody has acknowledged yet (level 1)",
        "gateway: nobody has acknowledged yet (level 2)",
    ]


async def test_only_the_severities_of_a_level_escalate(world: World) -> None:
    """A critical alert passes the level for warnings by, which would have been told first."""
    levels = [{"after_s": 0, "to": "office", "severities": ["warning"]}, {"after_s": 1, "to": "devops"}]
    world.tell(events=["frozen"], channels=["log"], escalation=[{**level, "channels": ["slack"]} for level in levels])
    async with receiver(world.site) as running_receiver:
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        await until(lambda: bool(world.slack.received), 11, "a level is told")
        rows = world.site.rows("SELECT key FROM action WHERE key LIKE '%:escalation:%'")
    assert [key.rpartition(":")[2] for (key,) in rows] == ["2"]
    assert world.slack_heads() == ["gateway: nobody has acknowledged yet (level 2)"]


async def test_status_updates_come_while_anything_is_open(world: World) -> None:
    """Every two seconds until the freeze ends; none after it."""
    world.tell(events=["unfrozen"], channels=["slack"], status_every_s=2)
    async with receiver(world.site) as running_receiver:
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        await until(lambda: len(world.slack.received) >= 2, 15, "two updates")
        assert await running_receiver.post(body("0.34.2", "resolved")) == 200
        await until(lambda: "gateway is unfrozen" in world.slack_heads(), 15, "the freeze ends")
    heads = world.slack_heads()
    assert set(heads[: heads.index("gateway is unfrozen")]) == {"gateway: still open"}
    assert heads.count("gateway is unfrozen") == 1
    assert "FailureRateHigh (open); not acknowledged. Open for less than a minute" in world.slack_texts()[0]


async def test_a_desktop_sees_each_notice_once_across_restarts_of_both(world: World, tmp_path: Path) -> None:
    """The receiver is killed and comes back elsewhere, the desktop program is stopped and started.

    Slack's bot goes on with its message and thread too.
    """
    world.tell(channels=["toast", "bot"], events=["frozen", "unfrozen"])
    async with receiver(world.site) as running_receiver:
        async with toasts(running_receiver, tmp_path) as output:
            assert await running_receiver.post(body("0.34.2", "firing")) == 200
            assert (await next_toast(output))["title"] == "gateway is frozen"
            await until((tmp_path / "seen.json").exists, 10, "the position on disk")
        told = "SELECT state FROM action WHERE name = 'bot'"
        await until(lambda: world.site.rows(told) == [("SUCCEEDED",)], 10, "the bot's receipt")
        running_receiver.process.kill()
    async with receiver(world.site) as running_receiver, toasts(running_receiver, tmp_path) as output:
        assert await running_receiver.post(body("0.34.2", "resolved")) == 200
        assert (await next_toast(output))["title"] == "gateway is unfrozen"
        await until(world.bot.replies, 10, "the reply in the thread")
    (message,), (reply,) = world.bot.roots().values(), world.bot.replies()
    assert (message["text"], reply["text"]) == ("gateway is unfrozen", "gateway is unfrozen")
    links = [button["url"].partition("?")[0] for button in message["blocks"][-1]["elements"]]
    assert links == ["http://127.0.0.1:9099/page/incident", "http://127.0.0.1:9099/page/service"]


async def test_templates_of_the_user_are_used(world: World, tmp_path: Path) -> None:
    """`templates` in receiver.yaml names a directory; a broken file there is said in the log and replaced by ours."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "slack.j2").write_text("{{ service | upper }}: {{ facts.alert }}, rule {{ facts.rule }}")
    (folder / "email.j2").write_text("{{ range(9) }}")
    world.site.settings["templates"] = str(folder)
    world.tell(channels=["slack", "mail"])
    async with receiver(world.site) as running_receiver:
        assert await running_receiver.post(body("0.34.2", "firing")) == 200
        await until(lambda: world.slack.received and world.smtp.received, DEADLINE_S, "the notices")
        text = running_receiver.log.read_text()
    assert "GATEWAY: FailureRateHigh, rule failure-rate-high" in world.slack_texts()[0]
    assert world.smtp.received[0]["Subject"] == "[critical] gateway is frozen"
    assert "call is not allowed" in text


def ended(data: bytes) -> bytes:
    """A captured delivery with every alert resolved."""
    raw = json.loads(data)
    for alert in raw["alerts"]:
        alert |= {"status": "resolved", "endsAt": datetime.now(UTC).isoformat()}
    return json.dumps(raw | {"status": "resolved"}).encode()


async def test_an_incident_is_resolved_once_nothing_of_it_is_open(world: World) -> None:
    """Two alerts are one PagerDuty incident; the end of the first leaves it open, the end of the last resolves it."""
    world.site.policy["rules"][0]["do"] = ["tell"]
    world.tell(channels=["pd"], events=["opened", "resolved"])
    states = "SELECT state FROM episode ORDER BY opened_at"
    async with receiver(world.site) as running_receiver:
        for name in ("firing", "hostile"):
            assert await running_receiver.post(body("0.34.2", name)) == 200
        await until(lambda: list(world.pagerduty.incidents.values()) == ["triggered"], DEADLINE_S, "the incident")
        assert await running_receiver.post(ended(body("0.34.2", "firing"))) == 200
        await until(lambda: world.site.rows(states) == [("CLOSED",), ("OPEN",)], 15, "the end of the first episode")
        assert world.site.rows("SELECT count(*) FROM action WHERE key LIKE '%:resolved'") == [(0,)]
        assert await running_receiver.post(ended(body("0.34.2", "hostile"))) == 200
        await until(lambda: list(world.pagerduty.incidents.values()) == ["resolved"], 15, "the resolved incident")
    assert [one["event_action"] for one in world.pagerduty.received] == ["trigger", "resolve"]
