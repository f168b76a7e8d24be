"""Watches every part of the demo from outside, and records each step when it is seen."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct, field

from freezeline.demo.load import Answer
from freezeline.demo.timeline import Step, Timeline
from receiver.decide.notice import Event
from receiver.notify.messages import message

ALERT = "FailureRateHigh"
SERVICE = "shop"
GOOD, BAD = "v1", "v2"

LOOK_S = 0.1
LOOK_AT_FILES_S = 0.01

_NOTICES: Mapping[Event, tuple[Step, Step]] = {
    Event.FROZEN: (Step.SLACK_FROZEN, Step.TOAST_FROZEN),
    Event.ROLLBACK_DONE: (Step.SLACK_ROLLED_BACK, Step.TOAST_ROLLED_BACK),
    Event.UNFROZEN: (Step.SLACK_UNFROZEN, Step.TOAST_UNFROZEN),
}
_BY_TITLE = {message(event, SERVICE, {})[0]: steps for event, steps in _NOTICES.items()}


class Traffic(Struct, kw_only=True):
    """Records the breach and the return of the good release, from the answers to the load client.

    Requests overlap: a late answer of the bad release may follow an early one of the good release. A release counts as
    live after three answers in a row.
    """

    timeline: Timeline
    live: str = ""
    broken: bool = False
    row: list[tuple[str, float]] = field(default_factory=list)

    def saw(self, answer: Answer) -> None:
        """Record one answer."""
        now = time.time()
        if answer.failed and not self.broken:
            self.broken = True
            self.timeline.saw(Step.BREACH, now, f"release {answer.release} is live; its first request has failed")
        if self.row and self.row[-1][0] != answer.release:
            self.row.clear()
        self.row.append((answer.release, now))
        if len(self.row) == 3 and answer.release != self.live:
            if self.live == BAD and answer.release == GOOD:
                self.timeline.saw(Step.ROLLBACK, self.row[0][1], f"requests are answered by {GOOD} again")
            self.live = answer.release


class Prometheus(Struct, frozen=True, kw_only=True):
    """A running Prometheus, queried over HTTP."""

    http: aiohttp.ClientSession
    url: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        found: list[dict[str, Any]] = (await self._get("query", {"query": expression}))["result"]
        return found

    async def rule(self, alert: str) -> Mapping[str, Any] | None:
        """The alerting rule of this name, as Prometheus loaded it; None if there is none."""
        groups = (await self._get("rules", {"type": "alert"}))["groups"]
        return next((rule for group in groups for rule in group["rules"] if rule["name"] == alert), None)

    async def _get(self, what: str, parameters: Mapping[str, str]) -> Any:
        async with self.http.get(f"{self.url}/api/v1/{what}", params=parameters, raise_for_status=True) as answer:
            return (await answer.json())["data"]


async def watch_prometheus(prometheus: Prometheus, timeline: Timeline) -> None:
    """Record when the alert's expression becomes true and false, and when the alert is pending and firing.

    The time of a state is the time of the evaluation that led to it.
    """
    above, state = False, "inactive"
    while True:
        rule = await prometheus.rule(ALERT)
        if rule is not None:
            evaluated_at = datetime.fromisoformat(rule["lastEvaluation"]).timestamp()
            result = await prometheus.query(str(rule["query"]))
            if bool(result) and not above:
                known_at = time.time() if rule["state"] == "inactive" else evaluated_at
                timeline.saw(Step.FAILURE_RATE, known_at, f"{_ratio(result):.1%} of all requests fail")
            elif above and not result:
                timeline.saw(Step.RECOVERY, time.time(), "back under the bound")
            above = bool(result)
            if rule["state"] != state:
                state = str(rule["state"])
                _saw_state(timeline, state, evaluated_at)
        await asyncio.sleep(LOOK_S)


def _ratio(result: list[dict[str, Any]]) -> float:
    return float(result[0]["value"][1])


def _saw_state(timeline: Timeline, state: str, at: float) -> None:
    if state == "pending":
        timeline.saw(Step.PENDING, at, ALERT)
    elif state == "firing":
        timeline.saw(Step.FIRING, at, ALERT)


async def watch_receiver(http: aiohttp.ClientSession, url: str, token: str, timeline: Timeline) -> None:
    """Record each episode that the receiver opens for the alert, at the time of its webhook."""

    def opened(at: float, episode: str) -> None:
        timeline.saw(Step.WEBHOOK, at, f"the receiver opens episode {episode}")

    await watch_episodes(http, url, token, ALERT, opened)


async def watch_episodes(
    http: aiohttp.ClientSession, url: str, token: str, alert: str, opened: Callable[[float, str], None]
) -> None:
    """Pass on each episode of the alert that the receiver opens: the time of its webhook, and its name."""
    known: set[str] = set()
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        async with http.get(f"{url}/api/v1/state", headers=headers, raise_for_status=True) as answer:
            state = await answer.json()
        for episode in state["episodes"]:
            if episode["alert"] == alert and episode["id"] not in known:
                known.add(episode["id"])
                opened(datetime.fromisoformat(episode["opened_at"]).timestamp(), episode["id"])
        await asyncio.sleep(LOOK_S)


async def watch_flag(flag: Path, timeline: Timeline) -> None:
    """Record when the flag file appears (by its own time), and when it is gone."""
    await watch_file(
        flag,
        lambda at: timeline.saw(Step.FLAG, at, str(flag)),
        lambda at: timeline.saw(Step.UNFREEZE, at, "the flag is gone"),
    )


async def watch_file(path: Path, appeared: Callable[[float], None], gone: Callable[[float], None]) -> None:
    """Pass on when a file appears, by its own time, and when the file is gone."""
    there = False
    while True:
        written_at = _written_at(path)
        if written_at is not None and not there:
            appeared(written_at)
        elif written_at is None and there:
            gone(time.time())
        there = written_at is not None
        await asyncio.sleep(LOOK_AT_FILES_S)


def _written_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def saw_slack(timeline: Timeline, title: str) -> None:
    """Record a Slack message by its headline."""
    _saw_notice(timeline, "Slack", 0, title)


async def watch_toasts(log: Path, timeline: Timeline) -> None:
    """Record the output of `freezeline toast --print --json`."""
    taken = 0
    while True:
        lines = _lines(log)
        for line in lines[taken:]:
            if line.startswith("{"):
                _saw_notice(timeline, "toast", 1, str(json.loads(line)["title"]))
        taken = len(lines)
        await asyncio.sleep(LOOK_S / 2)


def _lines(log: Path) -> list[str]:
    """The complete lines of a log; the last line may still be incomplete."""
    return log.read_text(errors="replace").split("\n")[:-1]


def _saw_notice(timeline: Timeline, channel: str, index: int, title: str) -> None:
    steps = _BY_TITLE.get(title)
    if steps is None:
        timeline.unexpected.append(f"{channel}: {title}")
        return
    timeline.saw(steps[index], time.time(), title)
