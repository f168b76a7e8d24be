"""A service whose releases are rolled out: what its engine, proxy, receiver and scripts did."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from release.store.database import Database, Rollout, StoreError
from tests.acceptance.receiver.harness import Receiver, Site
from tests.tools import ROOT, PrometheusServer, gone_with_us
from tests.waiting import until


class Rollouts(Struct, kw_only=True):
    """Everything that runs. HAProxy's backend is named like the service; `servers` are stable and canary."""

    site: Site
    front: int
    socket: Path
    prometheus: PrometheusServer
    answers: Counter[str]
    receiver: Receiver | None = None
    service: str = "shop"
    servers: tuple[str, str] = ("stable", "canary")

    @property
    def policy(self) -> Path:
        """The policy that the spec became."""
        return self.site.root / "policy" / f"{self.service}.policy.json"

    @property
    def path(self) -> Path:
        """The database of the service's rollouts."""
        return self.site.state / "canary" / f"{self.service}.db"

    def rollout(self) -> Rollout | None:
        """The newest rollout, as stored."""
        if not self.path.exists():
            return None
        try:
            database = Database(self.path, writes=False)
        except StoreError:  # the engine has not made the tables yet
            return None
        with contextlib.closing(database):
            return next(iter(database.rollouts(1)), None)

    def phase(self) -> str:
        """Where the newest rollout stands; "" where there is none."""
        found = self.rollout()
        return "" if found is None else found.state.phase.value

    def stage(self) -> tuple[str, int]:
        """Phase and stage."""
        found = self.rollout()
        return ("", 0) if found is None else (found.state.phase.value, found.state.stage)

    def steps(self) -> list[tuple[str, str, int]]:
        """Event, phase and stage of each step of the newest rollout."""
        database = Database(self.path, writes=False)
        try:
            assert database.verify() is None
            (newest,) = database.rollouts(1)
            return [(one.event, one.phase, one.stage) for one in database.steps(newest.id)]
        finally:
            database.close()

    def haproxy(self, command: str) -> str:
        """Ask HAProxy's runtime socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.socket))
            client.sendall(command.encode() + b"\n")
            answer = b""
            while more := client.recv(65536):
                answer += more
        return answer.decode()

    def weights(self) -> dict[str, int]:
        """The weights that HAProxy uses."""
        return {name: int(self.haproxy(f"get weight {self.service}/{name}").split()[0]) for name in self.servers}

    def sessions(self) -> int:
        """The canary's sessions."""
        rows = self.haproxy(f"show stat {self.service} -1 -1").splitlines()
        columns = rows[0].removeprefix("# ").split(",")
        found = [dict(zip(columns, row.split(","), strict=False)) for row in rows[1:] if row]
        return int(next(row["scur"] for row in found if row["svname"] == self.servers[1]))

    def notices(self) -> list[str]:
        """The events of delivered notices, in their order."""
        rows = self.site.rows("SELECT payload FROM action WHERE type = 'notify' AND state = 'SUCCEEDED' ORDER BY id")
        return [json.loads(row[0])["event"] for row in rows]

    def rollbacks(self) -> list[tuple[str, str]]:
        """Releases that the receiver rolled back, and the states of these actions."""
        rows = self.site.rows("SELECT payload, state FROM action WHERE type = 'rollback' ORDER BY id")
        return [(json.loads(payload)["release"], state) for payload, state in rows]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `freezeline canary …` to its end."""
        argv = [sys.executable, "-m", "freezeline", "canary", *words, "--state", str(self.site.state)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


class Running(Struct, kw_only=True):
    """An engine's process."""

    process: subprocess.Popen[bytes]
    log: Path

    async def ended(self, deadline_s: float = 90) -> int:
        """Wait for its end, and give the exit code."""
        await until(lambda: self.process.poll() is not None, deadline_s, f"the engine ends (log: {self.log})")
        return int(self.process.returncode)


@contextlib.contextmanager
def engine(shop: Rollouts, release: str, *options: str, kill_at: int | str | None = None) -> Iterator[Running]:
    """`freezeline canary run` from start to end. `kill_at`: the process kills itself there: see run_until.py."""
    log = shop.site.root / "engine.log"
    script = [str(Path(__file__).with_name("run_until.py")), str(kill_at)] if kill_at else ["-m", "freezeline"]
    argv = [sys.executable, *script, "canary", "run", str(shop.policy), "--release", release, *options]
    argv += ["--prometheus", shop.prometheus.url, "--state", str(shop.site.state)]
    with log.open("ab") as output:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=shop.site.root, env=env)
    with gone_with_us(process):
        try:
            yield Running(process=process, log=log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
