"""`./dev workload` as a process, for tests and for the pictures of the docs."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from tests.tools import ROOT, Generation, PrometheusServer, gone_with_us, program, stop
from tests.waiting import wait_until

UP_S = 180.0
ENDS_S = 90.0


class Whole(Struct, frozen=True, kw_only=True):
    """The running workload: its directory, and its addresses by name."""

    root: Path
    addresses: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def prometheus(self) -> PrometheusServer:
        """The Prometheus that watches."""
        url = self.addresses["prometheus"].removesuffix("/alerts")
        return PrometheusServer(url=url, directory=self.root, log=self.root / "prometheus.log", process=self.process)

    def deploy(self, service: str, release: str) -> None:
        """Let the canary of a service run a release."""
        subprocess.run([self.root / service / "deploy.sh", release], check=True, timeout=60)

    @contextlib.contextmanager
    def rollout(self, release: str) -> Iterator[Path]:
        """The engine rolls a release of the assistant out, until the block ends; gives the engine's log."""
        policy = self.root / "generated" / "rules" / "policy" / "assistant-phase4.policy.json"
        argv = [sys.executable, "-m", "freezeline", "canary", "run", str(policy), "--release", release]
        argv += ["--prometheus", self.prometheus.url, "--state", str(self.root / "state")]
        log = self.root / "engine.log"
        with log.open("wb") as output:
            engine = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=output, process_group=0)
        with gone_with_us(engine):
            try:
                yield log
            finally:
                stop(engine)

    def end(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ENDS_S)


@contextlib.contextmanager
def whole(generation: Generation, directory: Path, *arguments: str) -> Iterator[Whole]:
    """The workload, up and under load."""
    tools = (generation.prometheus, program("haproxy"), program("redis-server"))
    env = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *(str(path.parent) for path in tools)])}
    log = directory / "workload.log"
    argv = [sys.executable, "-m", "examples.workload.run", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=output, stderr=output, process_group=0)
    with gone_with_us(process):
        try:
            wait_until(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, UP_S, "everything is up")
            said = log.read_text()
            assert process.poll() is None, said
            root = re.search(r"setting up in (\S+)", said)
            assert root
            addresses = dict(re.findall(r"^  (\w+) +(\S+:\d\S+)$", said, re.MULTILINE))
            yield Whole(root=Path(root[1]), addresses=addresses, log=log, process=process)
        finally:
            stop(process)
