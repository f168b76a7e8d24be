"""The demo from start to end: set up, break the service, watch, judge, clean up."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from freezeline.demo import observe, show, stage
from freezeline.demo.lifetime import cancelled_by_signals, directory, in_background
from freezeline.demo.load import Load
from freezeline.demo.observe import ALERT, BAD, GOOD, Prometheus, Traffic
from freezeline.demo.programs import DemoError, find
from freezeline.demo.servers import Servers, running
from freezeline.demo.slack import slack
from freezeline.demo.stage import Stage
from freezeline.demo.timeline import Sighting, Timeline, Verdict, judge

REQUESTS_PER_S = 40.0
WARM_UP_LIMIT_S = 30.0
STORY_LIMIT_S = 90.0
AFTERMATH_S = 3.0
"""After the last step it is watched for this long whether anything happens a second time."""

POLL_S = 0.1
HTTP_TIMEOUT_S = 5.0


class Told(Struct, frozen=True, kw_only=True):
    """The whole demo, after its end."""

    timeline: Timeline
    verdict: Verdict
    addresses: dict[str, str]


async def tell(
    say: Callable[[str], None],
    *,
    keep: bool,
    over: Callable[[Told], None],
    example: Path | None = None,
    story_limit_s: float = STORY_LIMIT_S,
) -> None:
    """Play the demo, and pass the outcome to `over`; with `keep`, then wait for INT or TERM with everything running.

    `say` gets every line as it happens. `example` is the folder with the spec and its scripts (default: the committed
    one). A step not seen `story_limit_s` after the bad release counts as missing.

    Raises DemoError if a program does not start, and CancelledError on INT or TERM. In each case, every process is
    stopped and the directory removed.
    """
    for tool in ("prometheus", "alertmanager"):
        find(tool)  # before anything is made
    with directory() as root, cancelled_by_signals():
        say(f"setting up in {root}")
        whole = asyncio.Event()

        def told_of(so_far: Timeline, sighting: Sighting) -> None:
            say(show.line(so_far, sighting))
            if so_far.complete:
                whole.set()

        timeline = Timeline(told=told_of)
        built = stage.build(root, example or stage.committed_example())
        built.deploy(GOOD)
        async with _everything(built, timeline) as scene:
            await _warm_up(scene)
            say(f"everything is up; deploying the bad release {BAD}")
            for line in _where(scene):
                say(line)
            await _play(scene, whole, story_limit_s)
            told = Told(timeline=timeline, verdict=judge(timeline), addresses=scene.servers.addresses())
            over(told)
            if keep:
                say("everything stays up; press Ctrl-C to stop it")
                for line in _where(scene):
                    say(line)
                await asyncio.Event().wait()
        say("everything is stopped")


class _Scene(Struct, frozen=True, kw_only=True):
    stage: Stage
    servers: Servers
    prometheus: Prometheus
    timeline: Timeline


def _where(scene: _Scene) -> list[str]:
    """Paths and addresses for people who want to look."""
    places = scene.servers.addresses() | {"logs": f"{scene.stage.root}/*.log", "tokens": f"{scene.stage.state}/tokens/"}
    return [f"    {name:<14} {place}" for name, place in places.items()]


@asynccontextmanager
async def _everything(built: Stage, timeline: Timeline) -> AsyncIterator[_Scene]:
    """The servers, the load and the observers."""
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        slack_url = await stack.enter_async_context(slack(lambda title: observe.saw_slack(timeline, title)))
        servers = await stack.enter_async_context(running(built, http, slack_url))
        prometheus = Prometheus(http=http, url=servers.prometheus)
        load = Load(http=http, url=servers.shop, per_second=REQUESTS_PER_S, seen=Traffic(timeline=timeline).saw)
        token = built.token("read").read_text().strip()
        jobs = (
            load.run(),
            observe.watch_prometheus(prometheus, timeline),
            observe.watch_receiver(http, servers.receiver, token, timeline),
            observe.watch_flag(built.flag, timeline),
            observe.watch_toasts(servers.toasts, timeline),
        )
        await stack.enter_async_context(in_background(*jobs))
        yield _Scene(stage=built, servers=servers, prometheus=prometheus, timeline=timeline)


async def _warm_up(scene: _Scene) -> None:
    """Wait until Prometheus has loaded the alert and sees the shop's traffic."""
    end = time.monotonic() + WARM_UP_LIMIT_S
    while time.monotonic() < end:
        rule = await scene.prometheus.rule(ALERT)
        traffic = await scene.prometheus.query('sum(rate(http_requests_total{job="shop"}[5s])) > 0')
        if traffic and rule is not None and rule["health"] == "ok":
            return
        await asyncio.sleep(POLL_S)
    raise DemoError(f"Prometheus does not see the shop's traffic, or has no rule {ALERT}")


async def _play(scene: _Scene, whole: asyncio.Event, limit_s: float) -> None:
    """Deploy the bad release, and watch until every step was seen and nothing follows, or until the time limit."""
    await asyncio.to_thread(scene.stage.deploy, BAD)
    # The time limit is no error here: the verdict names the missing steps.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(whole.wait(), limit_s)
    await asyncio.sleep(AFTERMATH_S)
    starts = scene.stage.rollback_starts
    if starts != 1:
        scene.timeline.unexpected.append(f"the rollback script was started {starts} times")
