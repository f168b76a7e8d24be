"""Walks through a section of the README on a machine of its own: `unshare … python -m tests.acceptance.readme.walk`.

Reads a JSON object from standard input: the blocks, the folder of the tools and a scratch folder. Prints what each step
said, as JSON.
"""

import contextlib
import http.server
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.acceptance.readme import machine
from tests.acceptance.readme.blocks import Commands, File
from tests.tools import ROOT
from tests.waiting import wait_until

STEP_S = 60.0
REPOSITORY = machine.HOME / "checkout"
ALERTMANAGER = "route:\n  receiver: on-call\nreceivers:\n  - name: on-call\n"
METRICS = b'# TYPE http_requests_total counter\nhttp_requests_total{code="200"} 100\n'


class Order(Struct, frozen=True):
    """What to walk through."""

    blocks: list[File | Commands]
    tools: dict[str, str]  # name → path
    scratch: str


class Step(Struct, frozen=True):
    """What one block, or one look of another user, said."""

    what: str
    by: str
    code: int
    said: str


class Service(http.server.BaseHTTPRequestHandler):
    """The service of the reader, with one metric."""

    def do_GET(self) -> None:
        """Give the metric."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the class above
        """Say nothing."""


class Walk:
    """The machine while the reader walks."""

    def __init__(self, order: Order, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._log = Path(order.scratch)
        own = [Path(path).parent for path in order.tools.values()]
        path = [machine.SHIMS, Path(sys.executable).parent, *own, "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        self.environment = {"PATH": ":".join(map(str, path)), "HOME": str(machine.HOME), "LANG": "C.UTF-8"}

    def server(self, name: str, by: str, command: Sequence[str | Path], url: str) -> subprocess.Popen[bytes]:
        """Start a server, and wait until it answers."""
        log = (self._log / f"{name}.log").open("wb")
        process = self._stack.enter_context(
            subprocess.Popen(
                machine.as_user(by, command),
                cwd=REPOSITORY if by == "reader" else "/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        )
        self._stack.callback(process.kill)
        wait_until(lambda: process.poll() is not None or answers(url), STEP_S, f"{name} answers")
        return process

    def run(self, text: str, by: str = "reader") -> Step:
        """Run commands, as typed into a shell that stops at the first failure."""
        done = subprocess.run(
            machine.as_user(by, ["bash", "-e", "-c", text]),
            cwd=REPOSITORY if by == "reader" else "/",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        return Step(what=text, by=by, code=done.returncode, said=done.stdout)

    def write(self, file: File) -> Step:
        """Write a file: below the repository as the reader, elsewhere as root."""
        path = REPOSITORY / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        own = path.is_relative_to(REPOSITORY)
        if own:
            subprocess.run(["chown", "-R", "reader:reader", str(REPOSITORY)], check=True)
        return Step(what=file.path, by="reader" if own else "root", code=0, said="")


def answers(url: str) -> bool:
    """Whether a server answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def walk(order: Order) -> Iterator[Step]:
    """Do every step; between the steps, a third user looks at the flag as the last block says."""
    needed = {ROOT, Path(sys.base_prefix), *(Path(path).parent for path in order.tools.values())}
    machine.make(Path(order.scratch), needed)
    asking = [block for block in order.blocks if isinstance(block, Commands)][-1]
    with contextlib.ExitStack() as stack:
        here = Walk(order, stack)
        begin(here, order.tools)
        for block in order.blocks:
            if isinstance(block, File):
                yield here.write(block)
            elif block.text.startswith("freezeline serve"):
                serve = ["bash", "-c", f"exec {block.text}"]
                process = here.server("receiver", "reader", serve, "http://127.0.0.1:9099/health")
                yield Step(what=block.text, by="reader", code=process.poll() or 0, said="")
            else:
                yield here.run(block.text)
                if "alert add" in block.text:
                    yield here.run(asking.text, by="passerby")
        yield here.run(asking.text, by="passerby")
        with urllib.request.urlopen("http://127.0.0.1:9099/health", timeout=10) as response:
            yield Step(what="health", by="passerby", code=0, said=response.read().decode())


def begin(here: Walk, tools: Mapping[str, str]) -> None:
    """What the reader has already: a repository, a service, and Prometheus and Alertmanager with users of their own."""
    for name, uid in machine.USERS.items():
        own = REPOSITORY if name == "reader" else Path("/var/lib", name)
        own.mkdir(parents=True)
        subprocess.run(["chown", f"{uid}:{uid}", str(own)], check=True)
    for path, text in (("prometheus/prometheus.yml", "global: {}\n"), ("alertmanager/alertmanager.yml", ALERTMANAGER)):
        config = Path("/etc", path)
        config.parent.mkdir()
        config.write_text(text)
    threading.Thread(target=http.server.HTTPServer(("127.0.0.1", 8080), Service).serve_forever, daemon=True).start()
    prometheus: list[str | Path] = [
        *(tools["prometheus"], "--config.file=/etc/prometheus/prometheus.yml"),
        *("--storage.tsdb.path=/var/lib/prometheus", "--storage.tsdb.retention.time=35d"),
    ]
    alertmanager: list[str | Path] = [
        *(tools["alertmanager"], "--config.file=/etc/alertmanager/alertmanager.yml"),
        *("--storage.path=/var/lib/alertmanager", "--cluster.listen-address="),
    ]
    reloads = {
        "prometheus": here.server("prometheus", "prometheus", prometheus, "http://127.0.0.1:9090/-/ready").pid,
        "alertmanager": here.server("alertmanager", "alertmanager", alertmanager, "http://127.0.0.1:9093/-/ready").pid,
    }
    machine.offer_sudo(here.environment, reloads)


if __name__ == "__main__":
    steps = list(walk(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))
    sys.stdout.write(json.dumps(msgspec.to_builtins(steps)))
