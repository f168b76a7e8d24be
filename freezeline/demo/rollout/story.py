"""The canary demo from start to end: set up, roll out a good release and bad ones, watch, judge, clean up."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from freezeline.demo import stage as files
from freezeline.demo.lifetime import cancelled_by_signals, directory, in_background
from freezeline.demo.load import Answer, Load
from freezeline.demo.observe import Prometheus
from freezeline.demo.programs import DemoError, find, started
from freezeline.demo.rollout import observe, show
from freezeline.demo.rollout.acts import Act, Fault, chosen
from freezeline.demo.rollout.observe import Balancer
from freezeline.demo.rollout.record import Expected, Outcome, Record, Step, complaints
from freezeline.demo.rollout.servers import Servers, running, until_up
from freezeline.demo.slack import slack
from freezeline.demo.stage import Stage
from freezeline.terminal import Paint, plain
from receiver.decide.notice import Event
from receiver.notify.messages import message
from release.engine.begin import parsed

EXAMPLE = "demo-canary"
SERVICE = "shop"
REQUESTS_PER_S = 80.0
WARM_UP_LIMIT_S = 30.0
ACT_LIMIT_S = 90.0
PEOPLE_LIMIT_S = 15.0
"""After the engine's end, messages and the freeze may take so long."""

POLL_S = 0.1
HTTP_TIMEOUT_S = 5.0


class Told(Struct, frozen=True, kw_only=True):
    """The whole demo, after its end. `wrong` names, for each release, what did not go as said."""

    acts: tuple[Act, ...]
    record: Record
    wrong: dict[str, tuple[str, ...]]
    addresses: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether everything went as said."""
        return not any(self.wrong.values())


class Clients(Struct, kw_only=True):
    """Counts the requests of the act that is under way."""

    sent: int = 0
    failed: int = 0

    def saw(self, answer: Answer) -> None:
        """Count one answer."""
        self.sent += 1
        self.failed += answer.failed


class Scene(Struct, frozen=True, kw_only=True):
    """Everything that runs, and what was seen."""

    stage: Stage
    servers: Servers
    balancer: Balancer
    prometheus: Prometheus
    clients: Clients
    record: Record
    expected: Expected

    @property
    def policy(self) -> Path:
        """The policy that the engine follows."""
        return _policy(self.stage)

    @property
    def database(self) -> Path:
        """The engine's database."""
        return self.stage.state / "canary" / f"{SERVICE}.db"


async def tell(
    say: Callable[[str], None],
    *,
    faults: Sequence[Fault] = (),
    keep: bool,
    over: Callable[[Told], None],
    example: Path | None = None,
    act_limit_s: float = ACT_LIMIT_S,
    advanced: Callable[[int, int], None] = lambda _done, _total: None,
    paint: Paint = plain,
) -> None:
    """Play the demo, and pass the outcome to `over`; with `keep`, then wait for INT or TERM with everything running.

    `faults` chooses the bad releases (default: all). `advanced` hears how many releases are done. A rollout that has
    not ended after `act_limit_s` counts as wrong, and the demo goes no further.

    Raises DemoError if a program does not start, and CancelledError on INT or TERM. In each case, every process is
    stopped and the directory removed.
    """
    for tool in ("prometheus", "alertmanager", "haproxy"):
        find(tool)  # before anything is made
    acts = chosen(faults)
    with directory() as root, cancelled_by_signals():
        say(f"setting up in {root}")
        record = Record(told=lambda so_far, sighting: say(show.line(so_far, sighting, paint)))
        async with _everything(files.build(root, example or files.committed_example(EXAMPLE)), record) as scene:
            await _warm_up(scene)
            say("everything is up")
            for line in _where(scene):
                say(line)
            advanced(0, len(acts))
            for number, act in enumerate(acts, start=1):
                say(f"\n{paint('bold', show.heading(act))}")
                if not await _play(scene, act, act_limit_s):
                    break
                advanced(number, len(acts))
            wrong = {act.release: complaints(act, record, scene.expected) for act in acts}
            over(Told(acts=acts, record=record, wrong=wrong, addresses=scene.servers.addresses()))
            if keep:
                say("everything stays up; press Ctrl-C to stop it")
                for line in _where(scene):
                    say(line)
                await asyncio.Event().wait()
        say("everything is stopped")


def _where(scene: Scene) -> list[str]:
    """Paths and addresses for people who want to look."""
    places = scene.servers.addresses() | {"logs": f"{scene.stage.root}/*.log", "tokens": f"{scene.stage.state}/tokens/"}
    return [f"    {name:<14} {place}" for name, place in places.items()]


def _policy(stage: Stage) -> Path:
    return stage.policies / "slo.policy.json"


def _expected(stage: Stage) -> Expected:
    """What the policy promises."""
    _, canary = parsed(_policy(stage).read_text(), str(_policy(stage)))
    return Expected(
        shares=tuple(f"{one.weight:.0%}".replace("%", " %") for one in canary.stages),
        breaches={gate.id: gate.consecutive for gate in canary.gates},
        good=_headlines(Event.CANARY_STARTED, Event.CANARY_DONE),
        bad=_headlines(
            Event.CANARY_STARTED,
            Event.CANARY_ABORTED,
            Event.FROZEN,
            Event.ROLLBACK_STARTED,
            Event.ROLLBACK_DONE,
            Event.CANARY_ROLLED_BACK,
            Event.UNFROZEN,
        ),
    )


def _headlines(*events: Event) -> tuple[str, ...]:
    return tuple(message(event, SERVICE, {})[0] for event in events)


@asynccontextmanager
async def _everything(stage: Stage, record: Record) -> AsyncIterator[Scene]:
    """The servers, the load and the observers."""
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        heard = slack(lambda title: record.saw(Step.TOLD, time.time(), title))
        servers = await stack.enter_async_context(running(stage, http, await stack.enter_async_context(heard)))
        clients = Clients()
        balancer = Balancer(haproxy=servers.haproxy, record=record)
        scene = Scene(
            stage=stage,
            servers=servers,
            balancer=balancer,
            prometheus=Prometheus(http=http, url=servers.control.prometheus),
            clients=clients,
            record=record,
            expected=_expected(stage),
        )
        token = stage.token("read").read_text().strip()
        jobs = (
            Load(http=http, url=servers.shop, per_second=REQUESTS_PER_S, seen=clients.saw).run(),
            balancer.watch(),
            observe.watch_engine(scene.database, record),
            observe.watch_canary(servers.canary, record),
            observe.watch_flag(stage.flag, record),
            observe.watch_receiver(http, servers.control.receiver, token, record),
        )
        await stack.enter_async_context(in_background(*jobs))
        yield scene


async def _warm_up(scene: Scene) -> None:
    """Wait until Prometheus has loaded the alert and sees the shop's traffic and HAProxy."""
    end = time.monotonic() + WARM_UP_LIMIT_S
    while time.monotonic() < end:
        rule = await scene.prometheus.rule(observe.ALERT)
        traffic = await scene.prometheus.query("sum(rate(shop_requests_total[5s])) > 0")
        proxy = await scene.prometheus.query('haproxy_server_status{proxy="shop",server="canary"}')
        if traffic and proxy and rule is not None and rule["health"] == "ok":
            return
        await asyncio.sleep(POLL_S)
    raise DemoError(f"Prometheus does not see the shop's traffic, or has no rule {observe.ALERT}")


async def _play(scene: Scene, act: Act, limit_s: float) -> bool:
    """Roll one release out, and see what becomes of it. False if the rollout did not end in time."""
    clients, record = scene.clients, scene.record
    clients.sent = clients.failed = 0
    record.release = act.release
    record.saw(Step.BEGIN, time.time(), "")
    exit_code = await _engine(scene, act, limit_s)
    found = observe.newest(scene.database)
    if exit_code is None or found is None or found.release != act.release:
        return False
    record.saw(Step.ENDED, time.time(), f"{act.release} is {found.state.phase.value.replace('_', ' ')}")
    gate = found.state.gates.get(act.gate)
    record.outcomes[act.release] = Outcome(
        phase=found.state.phase.value,
        why=found.state.why,
        streak=gate.streak if gate else 0,
        exit_code=exit_code,
        rollback_starts=scene.stage.rollback_starts_of(act.release),
        sent=clients.sent,
        failed=clients.failed,
    )
    if act.bad:
        await _unfreeze(scene)
    else:
        await _becomes_stable(scene, act)
    await _until(lambda: not complaints(act, record, scene.expected), PEOPLE_LIMIT_S)
    record.release = ""
    return True


async def _engine(scene: Scene, act: Act, limit_s: float) -> int | None:
    """Run `freezeline canary run` to its end, and return its exit code; None if that takes too long."""
    argv = ["canary", "run", str(scene.policy), "--release", act.release, "--state", str(scene.stage.state)]
    argv += ["--prometheus", scene.servers.control.prometheus]
    return await _ended(scene, f"engine-{act.release}", argv, limit_s)


async def _unfreeze(scene: Scene) -> None:
    """An operator has read what happened, and ends the freeze, if there is one."""
    if not await _until(scene.stage.flag.exists, PEOPLE_LIMIT_S):
        return
    argv = ["unfreeze", SERVICE, "--reason", "the demo goes on", "--state", str(scene.stage.state)]
    await _ended(scene, "unfreeze", argv, PEOPLE_LIMIT_S)


async def _ended(scene: Scene, name: str, argv: Sequence[str], limit_s: float) -> int | None:
    """The exit code of a command of ours; None if the command was stopped after `limit_s`."""
    whole = [sys.executable, "-m", "freezeline", *argv]
    async with started(name, whole, scene.stage.root, ready=None) as program:
        await _until(lambda: program.process.poll() is not None, limit_s)
        return program.process.poll()


async def _becomes_stable(scene: Scene, act: Act) -> None:
    """Put the release on the stable machine too, then give that machine all traffic, as a pipeline would."""
    servers = scene.servers
    servers.stable.deploy(act.release)
    if not await _until(lambda: servers.stable.running == act.release, PEOPLE_LIMIT_S):
        raise DemoError(f"the stable machine does not run {act.release}")
    await until_up(servers.haproxy, servers.proxy)
    scene.record.saw(Step.STABLE, time.time(), act.release)
    scene.record.release = ""
    await servers.haproxy.set(scene.balancer.share * 0)
    await _until(lambda: scene.balancer.share == 0, PEOPLE_LIMIT_S)
    scene.record.release = act.release


async def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for a condition; whether it came true in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(POLL_S)
    return True
