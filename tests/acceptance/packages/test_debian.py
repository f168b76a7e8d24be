"""Debian's package, installed by dpkg on a machine of its own, with the receiver in the sandbox of its unit."""

import configparser
import contextlib
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from devtools import deb
from freezeline import __version__
from tests.acceptance.packages.machine import Machine, machine, why_not
from tests.tools import ROOT, request, stop
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("packages"),  # one worker, so that wheel and image are built once
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb"),
    pytest.mark.skipif(not Path(f"/usr/bin/{deb.PYTHON}").exists(), reason=f"needs Debian's {deb.PYTHON}"),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]
UNIT = "/usr/lib/systemd/system/freezeline-receiver.service"
CALLS = "/tmp/calls"
START_DEADLINE_S = 60
# Writes what it was given to /tmp, as scripts do, and says whether it may write elsewhere.
ROLLBACK = """\
#!/bin/sh
scratch=$(mktemp) || exit 9
echo "$FREEZELINE_FACT_ALERT" > "$scratch"
if touch /opt/checkout/elsewhere 2>/dev/null || touch /etc/elsewhere 2>/dev/null; then exit 8; fi
grep -q NoNewPrivs:.1 /proc/self/status || exit 7
echo "rolled back because of $(cat "$scratch")"
rm "$scratch"
"""
SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {team: payments, slack: "#payments"}
alerts:
  FailureRateHigh:
    ratio: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
    over: 5m
    above: 0.5%
    for: 1m
    severity: critical
policy:
  - {on: {alert: FailureRateHigh}, do: [freeze, rollback]}
actions:
  freeze: {flag: /var/lib/freezeline-flags/checkout/FREEZE.FLAG}
  rollback: {command: [/opt/checkout/rollback.sh], timeout: 60s}
"""
ALERT = {
    "status": "firing",
    "labels": {"alertname": "FailureRateHigh", "service": "checkout", "severity": "critical"},
    "annotations": {"summary": "5 % of requests fail"},
    "startsAt": "2026-11-28T06:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "0123456789abcdef",
}
WEBHOOK = {"version": "4", "status": "firing", "receiver": "freezeline", "groupKey": "{}", "alerts": [ALERT]}


class Service(Struct, frozen=True, kw_only=True):
    """The lines of the unit that the tests follow."""

    command: list[str]
    writable: list[str]
    user: str
    calls: str


@pytest.fixture(scope="module")
def package(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout."""
    return deb.build(wheel, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which dpkg has installed the package, without a network."""
    with machine(tmp_path_factory.mktemp("machine")) as one:
        one.run("unshare", "--net", "dpkg", "--install", package)
        yield one


@pytest.fixture(scope="module")
def service(installed: Machine) -> Service:
    """The installed unit."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read_string(installed.run("cat", UNIT).stdout)
    lines = unit["Service"]
    return Service(
        command=lines["ExecStart"].split(),
        writable=[f"/var/lib/{lines['StateDirectory']}", *lines["ReadWritePaths"].split()],
        user=lines["User"],
        calls=lines["SystemCallFilter"],
    )


def test_the_package_is_small_and_belongs_to_root(package: Path) -> None:
    """At most 20 MB; no file is writable for others, and none names the folder in which it was built."""
    assert package.stat().st_size < 20e6
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line.split(maxsplit=5) for line in listed.splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    assert [row for row in rows if row[0][0] != "l" and (row[0][5] == "w" or row[0][8] == "w")] == []
    assert len(rows) > 1000
    assert [row for row in rows if row[5].endswith("/site-packages/psycopg/")]


def test_users_and_modes(installed: Machine) -> None:
    """The receiver's user has no shell, and only that user can look at the state."""
    stat = ("stat", "-c", "%U:%G %a")
    modes = {path: installed.run(*stat, path).stdout.strip() for path in deb_paths()}
    assert modes == deb_paths()
    assert installed.run("getent", "passwd", "freezeline").stdout.rstrip().endswith(":/usr/sbin/nologin")


def deb_paths() -> dict[str, str]:
    """What docs/operating.md says: path → owner and mode."""
    return {
        "/etc/freezeline": "root:root 755",
        "/etc/freezeline/policy": "root:root 755",
        "/etc/freezeline/receiver.yaml": "root:root 644",
        "/var/lib/freezeline": "freezeline:freezeline 700",
        "/var/lib/freezeline-flags": "freezeline:freezeline 755",
        "/opt/freezeline/bin/freezeline": "root:root 755",
    }


def test_the_command_works_for_every_user(installed: Machine) -> None:
    """It takes no module from the user's folder, and man knows it."""
    installed.write("/tmp/nobody/freezeline.py", "raise SystemExit('a module of the user')")
    installed.write("/tmp/nobody/yaml.py", "raise SystemExit('a module of the user')")
    drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-C", "/tmp/nobody")
    assert installed.run(*drop, "PYTHONPATH=/tmp/nobody", "freezeline", "--version").stdout == (
        f"freezeline {__version__}\n"
    )
    installed.write("/tmp/nobody/slo.yaml", SPEC)
    checked = installed.run(*drop, "PYTHONPATH=/tmp/nobody", "freezeline", "validate", "--no-promtool", "slo.yaml")
    assert checked.stdout.startswith("ok: 1 spec")
    assert installed.run("man", "-w", "freezeline").stdout == "/usr/share/man/man1/freezeline.1.gz\n"


def test_systemd_finds_no_fault_in_the_unit(installed: Machine) -> None:
    """Neither with the unit alone, nor with the drop-in for sudo."""
    said = installed.run("systemd-analyze", "verify", UNIT)
    assert said.stdout + said.stderr == ""
    drop_in = (ROOT / "packaging" / "systemd" / "rollback-with-sudo.conf").read_text()
    installed.write("/etc/systemd/system/freezeline-receiver.service.d/sudo.conf", drop_in)
    said = installed.run("systemd-analyze", "verify", UNIT)
    installed.run("rm", "-r", "/etc/systemd/system/freezeline-receiver.service.d")
    assert said.stdout + said.stderr == ""


@contextlib.contextmanager
def serving(installed: Machine, service: Service, folder: Path) -> Iterator[str]:
    """The receiver by the unit's command, in the unit's sandbox as far as namespaces go, and its URL."""
    spy = ["strace", "-D", "-f", "-c", "-U", "name", "-o", CALLS] if shutil.which("strace") else []
    argv = installed.sandboxed(service.writable, service.user, *spy, *service.command, "--listen", "127.0.0.1:0")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd="/")
    try:
        found = wait_until(
            lambda: re.search(r"listening on (http://\S+)", log.read_text()), START_DEADLINE_S, f"it serves ({log})"
        )
        yield found[1]
    finally:
        stop(process)


def test_the_receiver_freezes_and_rolls_back_in_its_sandbox(
    installed: Machine, service: Service, tmp_path: Path
) -> None:
    """A rollback can write to /tmp and nowhere else, and no system call of both is one that the unit forbids."""
    installed.write("/opt/checkout/rollback.sh", ROLLBACK, 0o755)
    installed.write("/tmp/policies/checkout.yaml", SPEC)
    installed.run("freezeline", "generate", "/tmp/policies/checkout.yaml", "-o", "/tmp/policies")
    installed.run("sh", "-c", "install -m 0644 /tmp/policies/rules/policy/*.json /etc/freezeline/policy/")
    with serving(installed, service, tmp_path) as url:
        token = installed.run("cat", "/var/lib/freezeline/tokens/webhook").stdout
        asked = urllib.request.Request(f"{url}/webhook", data=json.dumps(WEBHOOK).encode(), method="POST")
        asked.add_header("Authorization", f"Bearer {token}")
        urllib.request.urlopen(asked, timeout=30).close()
        flag = "/var/lib/freezeline-flags/checkout/FREEZE.FLAG"
        installed.run("sh", "-c", f"for i in $(seq 300); do test -e {flag} && exit; sleep 0.1; done; exit 1")
        results = "/var/lib/freezeline/runs/*/result.json"
        waiting = f"for i in $(seq 300); do cat {results} 2>/dev/null && exit; sleep 0.1; done; exit 1"
        result = json.loads(installed.run("sh", "-c", waiting).stdout)
        assert (result["outcome"], result["code"]) == ("exited", 0)
        assert request("GET", f"{url}/health")
    said = installed.run("sh", "-c", "cat /var/lib/freezeline/runs/*/output.log").stdout
    assert said == "rolled back because of FailureRateHigh\n"
    if not shutil.which("strace"):
        pytest.skip("needs strace on PATH to see the system calls")
    called = wait_until(lambda: calls(installed), START_DEADLINE_S, "strace has written its summary")
    assert {"execve", "fsync", "prctl"} < called
    assert called - allowed(service.calls) == set()


def calls(installed: Machine) -> set[str]:
    """The system calls of the receiver, the runner and the rollback."""
    return set(installed.run("cat", CALLS).stdout.split()) - {"syscall", "----------------", "total"}


def allowed(group: str) -> set[str]:
    """The system calls of one of systemd's groups, which name further groups."""
    argv = ["systemd-analyze", "syscall-filter", group]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    found = {line.strip() for line in said.splitlines()[1:] if not line.strip().startswith("#")}
    return found.union(*(allowed(name) for name in found if name.startswith("@")))


def test_a_purge_leaves_nothing(installed: Machine, package: Path) -> None:
    """An upgrade keeps what an administrator wrote; a purge takes the state, the flags and the user away."""
    installed.write("/etc/freezeline/receiver.yaml", "channels: {log: {type: log}}  # ours\n")
    installed.run("dpkg", "--install", package)
    assert installed.run("cat", "/etc/freezeline/receiver.yaml").stdout.endswith("# ours\n")
    installed.run("dpkg", "--purge", "freezeline")
    for path in (*deb_paths(), "/opt/freezeline", UNIT, "/usr/bin/freezeline"):
        installed.run("test", "!", "-e", path)
    installed.run("getent", "passwd", "freezeline", code=2)
