"""The three guarded services: each function starts one, and says what there is to scrape and to look at."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
from msgspec import Struct

from examples.workload.run import load, releases
from examples.workload.run.ports import free_ports
from freezeline.demo.lifetime import in_background
from freezeline.demo.programs import started
from freezeline.demo.rollout.machines import Machine, machine
from freezeline.demo.stage import Scrape, Stage

Starter = Callable[[AsyncExitStack, "Ground"], Awaitable["Part"]]


class Ground(Struct, frozen=True, kw_only=True):
    """What the services stand on. `redis` and `providers` are addresses, empty for services that need none.

    `per_second` is the load of the assistant.
    """

    stage: Stage
    http: aiohttp.ClientSession
    redis: str
    providers: str
    ratings: Path | None
    per_second: float


class Part(Struct, frozen=True, kw_only=True):
    """A running service. `balancer` holds the variables of its file for HAProxy; `load` sends its users' requests."""

    addresses: Mapping[str, str]
    scrapes: Sequence[Scrape]
    load: Callable[[], Coroutine[None, None, None]]
    machines: Sequence[Machine] = ()
    balancer: Mapping[str, str] = {}


async def assistant(stack: AsyncExitStack, ground: Ground) -> Part:
    """Two tracks behind HAProxy."""
    front, *ports = free_ports(3)
    shared = ["--redis", ground.redis, *(["--ratings", str(ground.ratings)] if ground.ratings else [])]
    folder = ground.stage.root / "assistant"
    machines = [
        machine(folder, name, port, releases.assistant("--track", name, *shared), release=releases.FIRST)
        for name, port in zip(("control", "treatment"), ports, strict=True)
    ]
    await stack.enter_async_context(in_background(*(one.run() for one in machines)))
    targets = [{"targets": [f"127.0.0.1:{one.port}"], "labels": {"track": one.name}} for one in machines]
    url = f"http://127.0.0.1:{front}"
    return Part(
        addresses={"assistant": f"{url}/health/detailed", **_metrics(machines)},
        scrapes=[{"job_name": "assistant", "static_configs": targets}],
        load=partial(load.assistant, ground.http, url, ground.per_second),
        machines=machines,
        balancer=_variables("ASSISTANT", front, machines),
    )


async def generation(stack: AsyncExitStack, ground: Ground) -> Part:
    """The API and one durable worker."""
    folder = ground.stage.root / "generation"
    environment = folder / "environment"
    environment.write_text("USE_DURABLE_WORKER=1\n")
    options = {
        "queue": folder / "queue.db",
        "redis": ground.redis,
        "providers": ground.providers,
        "environment": environment,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    urls = {}
    for process in ("api", "worker"):
        argv = [sys.executable, "-m", "examples.workload.generation", process, *words]
        program = started(f"generation-{process}", argv, ground.stage.root, more={"PYTHONPATH": releases.CHECKOUT})
        urls[process] = (await stack.enter_async_context(program)).url
    targets = [{"targets": [url.removeprefix("http://")]} for url in urls.values()]
    return Part(
        addresses={
            "generation": f"{urls['api']}/health",
            **{name: f"{url}/metrics" for name, url in urls.items()},
        },
        scrapes=[{"job_name": "generation", "static_configs": targets}],
        load=partial(load.generation, ground.http, urls["api"], ground.per_second / 20),
    )


async def scripts(stack: AsyncExitStack, ground: Ground) -> Part:
    """Two versions behind HAProxy, and the probes of their readiness."""
    front, *ports = free_ports(3)
    folder = ground.stage.root / "scripts"
    commands = releases.scripts("--providers", ground.providers, "--flags", str(folder / "flags.json"))
    machines = [
        machine(folder, name, port, commands, release=releases.FIRST)
        for name, port in zip(("old", "new"), ports, strict=True)
    ]
    await stack.enter_async_context(in_background(*(one.run() for one in machines)))
    pods = [f"scripts-{one.name}=http://127.0.0.1:{one.port}/ready" for one in machines]
    argv = [sys.executable, "-m", "examples.workload.probes", *pods]
    program = started("probes", argv, ground.stage.root, more={"PYTHONPATH": releases.CHECKOUT})
    probes = (await stack.enter_async_context(program)).url
    jobs = {"scripts": [f"127.0.0.1:{one.port}" for one in machines], "probes": [probes.removeprefix("http://")]}
    url = f"http://127.0.0.1:{front}"
    return Part(
        addresses={"scripts": f"{url}/health", **_metrics(machines), "probes": f"{probes}/metrics"},
        scrapes=[
            {"job_name": job, "scrape_interval": "5s", "static_configs": [{"targets": targets}]}
            for job, targets in jobs.items()
        ],
        load=partial(load.scripts, ground.http, url, ground.per_second / 5),
        machines=machines,
        balancer=_variables("SCRIPTS", front, machines),
    )


STARTERS: Mapping[str, Starter] = {"assistant": assistant, "generation": generation, "scripts": scripts}


def _metrics(machines: Sequence[Machine]) -> dict[str, str]:
    return {one.name: f"http://127.0.0.1:{one.port}/metrics" for one in machines}


def _variables(name: str, front: int, machines: Sequence[Machine]) -> dict[str, str]:
    return {f"{name}_PORT": str(front), **{f"{one.name.upper()}_PORT": str(one.port) for one in machines}}
