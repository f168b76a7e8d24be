"""The services of examples/workload for tests: a real Redis, and assistants as processes, on free loopback ports."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from tests.balancers import free_ports
from tests.tools import ROOT, gone_with_us, program, request, stop
from tests.waiting import wait_until

LISTENING = re.compile(r"listening on (http://\S+)")
START_S = 240.0
"""A busy machine takes minutes to load the models of several services at once."""


class Redis(Struct, frozen=True, kw_only=True):
    """A running Redis that keeps nothing on disk."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, *words: str) -> str:
        """One command by redis-cli."""
        argv = [str(program("redis-cli")), "-p", str(self.port), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


@contextlib.contextmanager
def redis_server(directory: Path, port: int = 0) -> Iterator[Redis]:
    """Redis from start to end."""
    port = port or free_ports(1)[0]
    argv = [str(program("redis-server")), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    log = directory / "redis.log"
    with log.open("ab") as output:
        process = subprocess.Popen(argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    with gone_with_us(process):
        try:
            wait_until(lambda: "Ready to accept connections" in log.read_text(), 20, f"redis is ready (log: {log})")
            yield Redis(port=port, process=process)
        finally:
            stop(process)


class Service(Struct, frozen=True, kw_only=True):
    """A running service of the workload."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """Where the service listens."""
        return int(self.url.rpartition(":")[2])

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels, as in Prometheus' text."""
        lines = request("GET", f"{self.url}/metrics").decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


@contextlib.contextmanager
def service(
    directory: Path, name: str, module: str, arguments: Sequence[str] = (), **environment: str
) -> Iterator[Service]:
    """`python -m examples.workload.MODULE` from start to end. The variables' names are written in capitals."""
    log = directory / f"{name}.log"
    env = {**os.environ, **{key.upper(): value for key, value in environment.items()}}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"examples.workload.{module}", *arguments],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )

    def listens() -> str:
        assert process.poll() is None, log.read_text()
        found = LISTENING.search(log.read_text())
        return found[1] if found else ""

    with gone_with_us(process):
        try:
            url = wait_until(listens, START_S, f"{name} listens (log: {log})")
            yield Service(url=url, log=log, process=process)
        finally:
            stop(process)


@contextlib.contextmanager
def assistant(
    directory: Path, redis: Redis, *, release: str = "good", options: Sequence[str] = ()
) -> Iterator[Service]:
    """One assistant from start to end."""
    arguments = ["--redis", redis.url, *options]
    with service(directory, f"assistant-{release}", "assistant", arguments, assistant_release=release) as found:
        yield found
