"""Real Prometheus tools for tests: where they are, and servers started on free loopback ports.

`./dev test` fetches two generations, `old` (the oldest supported) and `current`. A test that takes the fixture
`generation` (tests/conftest.py) runs once with each. Servers are context managers: they are ready on entry and gone
on exit, and every wait in them has a deadline.
"""

import contextlib
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import Struct

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("old", "current")
NAMES = ("promtool", "prometheus", "alertmanager", "amtool")

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0
HTTP_TIMEOUT_S = 10.0


class Generation(NamedTuple):
    """One generation of the tools: `old` or `current`, with the path of each binary."""

    label: str
    promtool: Path
    prometheus: Path
    alertmanager: Path
    amtool: Path


def generations() -> list[Generation]:
    """The complete generations on this machine, the old one first."""
    found = []
    for label in LABELS:
        paths = {name: tool_dir(label) / name for name in NAMES}
        if all(os.access(path, os.X_OK) for path in paths.values()):
            found.append(Generation(label=label, **paths))
    return found


def tool_dir(label: str) -> Path:
    """The folder of a generation: what ./dev exported, or where ./dev links it."""
    exported = os.environ.get(f"FREEZELINE_TOOLS_{label.upper()}")
    return Path(exported) if exported else ROOT / ".venv" / "tools" / label


def missing_is_an_error() -> bool:
    """Whether a generation that is not there fails the tests: in CI, unless FREEZELINE_ALLOW_MISSING=1."""
    return os.environ.get("CI", "") not in {"", "0", "false"} and os.environ.get("FREEZELINE_ALLOW_MISSING") != "1"


def program(name: str) -> Path:
    """A program that `./dev test` linked. Without the program, the test fails in CI and is skipped elsewhere."""
    path = ROOT / ".venv" / "tools" / "programs" / name
    if os.access(path, os.X_OK):
        return path
    reason = f"{name} is not here (./dev test fetches it)"
    if missing_is_an_error():
        pytest.fail(reason)
    pytest.skip(reason)


class Server(Struct, frozen=True, kw_only=True):
    """A running Prometheus or Alertmanager: `url` has no slash at its end, `log` is its output."""

    url: str
    directory: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return self.url.removeprefix("http://")

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON answer of a GET. Raises urllib.error.HTTPError for a status of 400 and above."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        return json.loads(request("GET", f"{self.url}{path}{query}"))

    def reload(self) -> None:
        """Have the server read its configuration (and rules) again. Raises HTTPError where it refuses them."""
        request("POST", f"{self.url}/-/reload")


class PrometheusServer(Server, frozen=True, kw_only=True):
    """A running Prometheus."""

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The instant query's result, as the API gives it."""
        params = {"query": expression} | ({} if at is None else {"time": str(at)})
        result: list[dict[str, Any]] = self.get("/api/v1/query", params)["data"]["result"]
        return result

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts."""
        alerts: list[dict[str, Any]] = self.get("/api/v1/alerts")["data"]["alerts"]
        return alerts

    def rule_groups(self) -> list[dict[str, Any]]:
        """The loaded rule groups with their rules' health and `evaluationTime`."""
        groups: list[dict[str, Any]] = self.get("/api/v1/rules")["data"]["groups"]
        return groups


class AlertmanagerServer(Server, frozen=True, kw_only=True):
    """A running Alertmanager."""

    def post_alerts(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Send alerts as Prometheus does (API v2: labels, annotations, startsAt, endsAt)."""
        request("POST", f"{self.url}/api/v2/alerts", json.dumps(alerts).encode())

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts it holds, silenced and inhibited ones included."""
        alerts: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return alerts


def request(method: str, url: str, body: bytes | None = None) -> bytes:
    """One HTTP request with a time limit. Raises urllib.error.HTTPError (its text included) or URLError."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    wanted = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(wanted, timeout=HTTP_TIMEOUT_S) as response:
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        error.add_note(error.read().decode(errors="replace")[:2000])
        raise


@contextlib.contextmanager
def prometheus_server(
    generation: Generation, directory: Path, config: str, *, flags: Sequence[str] = (), port: int = 0
) -> Iterator[PrometheusServer]:
    """A Prometheus with `config` (YAML text, written to DIRECTORY/prometheus.yml) and its data in DIRECTORY/data.

    Rule files named relative in `config` lie in `directory`. It reloads by `Server.reload`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prometheus.yml").write_text(config)
    argv = [
        str(generation.prometheus),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.enable-lifecycle",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with started(argv, directory, "prometheus") as (process, log, url):
        yield PrometheusServer(url=url, directory=directory, log=log, process=process)


@contextlib.contextmanager
def alertmanager_server(
    generation: Generation, directory: Path, config: str, *, flags: Sequence[str] = (), port: int = 0
) -> Iterator[AlertmanagerServer]:
    """An Alertmanager with `config` (YAML text, written to DIRECTORY/alertmanager.yml), not in a cluster.

    To make a cluster, give other `--cluster.*` flags: the last one counts.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "alertmanager.yml").write_text(config)
    cluster = (
        () if any(flag.startswith("--cluster.listen-address") for flag in flags) else ("--cluster.listen-address=",)
    )
    argv = [
        str(generation.alertmanager),
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *cluster,
        *flags,
    ]
    with started(argv, directory, "alertmanager") as (process, log, url):
        yield AlertmanagerServer(url=url, directory=directory, log=log, process=process)


@contextlib.contextmanager
def started(argv: Sequence[str], directory: Path, name: str) -> Iterator[tuple[subprocess.Popen[bytes], Path, str]]:
    """A Prometheus-family server from start to end: process, log file and URL, read from its own log.

    It listens on port 0, so that two tests never fight for one; which port that became, it logs itself.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
    try:
        with gone_with_us(process):
            address = wait_until(lambda: _address(process, log), START_DEADLINE_S, f"{name} listens (log: {log})")
            wait_until(lambda: _ready(process, log, address), START_DEADLINE_S, f"{name} is ready (log: {log})")
            yield process, log, f"http://{address}"
    finally:
        stop(process)


@contextlib.contextmanager
def gone_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process group of `process` also when this Python is killed and can clean nothing up.

    A shell waits for the end of a pipe whose other end only we hold.
    """
    watcher = subprocess.Popen(
        ["sh", "-c", f"read -r _ || kill -s KILL -- -{process.pid}"], stdin=subprocess.PIPE, process_group=0
    )
    with watcher:
        try:
            yield
        finally:
            watcher.kill()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: TERM, and KILL when it is not gone within 15 s."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_DEADLINE_S)


def _address(process: subprocess.Popen[bytes], log: Path) -> str | None:
    _still_runs(process, log)
    match = re.search(r'msg="Listening on".* address=(\S+:[1-9]\d*)', log.read_text(errors="replace"))
    return None if match is None else match.group(1)


def _ready(process: subprocess.Popen[bytes], log: Path, address: str) -> bool:
    _still_runs(process, log)
    try:
        request("GET", f"http://{address}/-/ready")
    except urllib.error.URLError:  # HTTPError (503 while it starts) is one of them
        return False
    return True


def _still_runs(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{tail}")
