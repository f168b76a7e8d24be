"""How the demo turns observations into steps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from pathlib import Path

import pytest

from freezeline.demo.load import Answer
from freezeline.demo.observe import Traffic, saw_slack, watch_flag, watch_toasts
from freezeline.demo.timeline import Step, Timeline
from tests.waiting import until


def quiet_timeline() -> Timeline:
    """A timeline that tells nobody."""
    return Timeline(told=lambda _timeline, _sighting: None)


@pytest.mark.parametrize(
    "answers,steps",
    [
        ("1111", []),
        ("1111222", []),
        ("1112F2F2", [Step.BREACH]),
        ("1112F2F2111", [Step.BREACH, Step.ROLLBACK]),
        ("111F222121111", [Step.BREACH, Step.ROLLBACK]),
        ("1112F2111222111", [Step.BREACH, Step.ROLLBACK, Step.ROLLBACK]),
    ],
    ids=["good", "deployed", "fails", "taken back", "answers out of order", "taken back twice"],
)
def test_traffic_shows_breach_and_return(answers: str, steps: list[Step]) -> None:
    """A release is live when three answers in a row are its own; the first failure is the breach."""
    timeline = quiet_timeline()
    traffic = Traffic(timeline=timeline)
    for letter in answers:
        traffic.saw(Answer(release="v1" if letter == "1" else "v2", failed=letter == "F"))
    assert [sighting.step for sighting in timeline.sightings] == steps


def test_slack_headlines_are_steps_and_others_are_unexpected() -> None:
    """A headline of the story is a step; a repeat or another headline is not."""
    timeline = quiet_timeline()
    for title in ("shop is frozen", "shop: rollback done", "shop is unfrozen", "(repeat) shop is frozen"):
        saw_slack(timeline, title)
    assert [sighting.step for sighting in timeline.sightings] == [
        Step.SLACK_FROZEN,
        Step.SLACK_ROLLED_BACK,
        Step.SLACK_UNFROZEN,
    ]
    assert timeline.unexpected == ["Slack: (repeat) shop is frozen"]


@contextlib.asynccontextmanager
async def watched(job: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """A watcher at work."""
    task = asyncio.create_task(job)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_flag_is_seen_to_come_and_go(tmp_path: Path) -> None:
    """The flag's time is the file's own; a second freeze is a second sighting."""
    flag, timeline = tmp_path / "FREEZE.FLAG", quiet_timeline()
    written_at = []
    async with watched(watch_flag(flag, timeline)):
        for _ in range(2):
            so_far = len(timeline.sightings)
            flag.touch()
            written_at.append(flag.stat().st_mtime)
            await until(partial(has_seen, timeline, so_far + 1), 5, "the flag is seen")
            flag.unlink()
            await until(partial(has_seen, timeline, so_far + 2), 5, "its end is seen")
    assert [sighting.step for sighting in timeline.sightings] == [Step.FLAG, Step.UNFREEZE] * 2
    assert [sighting.at for sighting in timeline.sightings[::2]] == written_at


def has_seen(timeline: Timeline, count: int) -> bool:
    """Whether so many steps have been seen."""
    return len(timeline.sightings) == count


async def test_printed_toasts_are_seen_line_by_line(tmp_path: Path) -> None:
    """Only whole lines count, and what the program says beside its notices does not."""
    log, timeline = tmp_path / "toast.log", quiet_timeline()
    log.write_text('connected again\n{"title": "shop is frozen"}\n{"title": "shop: rol')
    async with watched(watch_toasts(log, timeline)):
        await until(lambda: len(timeline.sightings) == 1, 5, "the first notice is seen")
        with log.open("a") as file:
            file.write('lback done"}\n')
        await until(lambda: len(timeline.sightings) == 2, 5, "the second notice is seen")
    assert [sighting.step for sighting in timeline.sightings] == [Step.TOAST_FROZEN, Step.TOAST_ROLLED_BACK]
    assert timeline.unexpected == []
