"""Somebody follows docs/high-availability.md: two hosts, a PostgreSQL with a standby, and an alert for both.

The page's names stand for addresses and folders of the test. Its user is another one, because the test's servers belong
to a `freezeline` already.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.acceptance.readme.blocks import BLOCK, section
from tests.acceptance.receiver.harness import Site, body, receiver
from tests.postgres import Cluster, pair
from tests.tools import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("postgres")]

PAGE = (ROOT / "docs/high-availability.md").read_text()
USER = "keeper"
HOSTS = ("deploy-1", "deploy-2")
FIRING, RESOLVED = body("0.34.2", "firing"), body("0.34.2", "resolved")
WAIT_S = 45.0
TOOLS = {
    "sudo": 'exec "$@"',
    "ssh": 'cd "../$1" && shift && exec "$@"',
    "freezeline": f'PYTHONPATH={ROOT} exec {sys.executable} -m freezeline "$@"',
}


def blocks(language: str) -> list[str]:
    """The blocks of a language under "Set up", with the test's user."""
    found = [text for name, text in BLOCK.findall(section(PAGE, "Set up")) if name == language]
    return found if language == "sh" else [text.replace("freezeline", USER) for text in found]


def run(site: Site, text: str, **addresses: str) -> str:
    """Run a block in the shell of a host; what it prints."""
    tools = site.root.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name, script in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    text = text.replace("/var/lib/freezeline", "state")
    for host, address in addresses.items():
        text = text.replace(host, address)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    argv = ["bash", "-euo", "pipefail", "-c", text]
    ran = subprocess.run(argv, cwd=site.root, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def databases(primary: Cluster, standby: Cluster) -> None:
    """Steps 1 and 2; the server then wants the user's password."""
    create, wait = blocks("sql")
    for statement in create.split(";\n"):
        if statement:
            primary.run(statement)
    for server in (primary, standby):
        for statement in wait.split(";\n"):
            if statement:
                server.run(statement)
    rules = primary.data / "pg_hba.conf"
    rules.write_text(f"host all {USER} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    primary.run("SELECT pg_reload_conf()")


def hosts(root: Path, primary: Cluster, standby: Cluster) -> list[Site]:
    """Steps 3 and 4, on each host."""
    (text,) = blocks("yaml")
    ports = f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port}"
    made = [
        Site(root=root / name, settings=yaml.safe_load(text.replace("deploy-1", name).replace("host=db1,db2", ports)))
        for name in HOSTS
    ]
    flag = {"type": "freeze", "flag": "/proc/self/cwd/flags/FREEZE.FLAG"}
    policy = {**made[0].policy, "actions": {**made[0].policy["actions"], "freeze": flag}}
    (password,) = blocks("text")
    for site in made:
        site.policy = policy
        site.write()
        (site.root / ".pgpass").write_text(password)
        (site.root / ".pgpass").chmod(0o600)
    return made


async def test_somebody_follows_the_page(tmp_path: Path) -> None:
    """From two empty hosts to an alert that freezes both."""
    copy_tokens, merge, look = blocks("sh")
    with pair() as (primary, standby):
        databases(primary, standby)
        one, other = hosts(tmp_path, primary, standby)
        (one.root / "alertmanager.yml").write_text("route:\n  receiver: on-call\nreceivers:\n  - name: on-call\n")
        (one.root / "slos").symlink_to(ROOT / "slos")
        async with receiver(one, env={"HOME": str(one.root)}) as first:
            run(one, copy_tokens)
            assert other.token("webhook") == one.token("webhook")
            async with receiver(other, env={"HOME": str(other.root)}) as second:
                addresses = {
                    "http://deploy-1:9099": first.url,
                    "http://deploy-2:9099": second.url,
                }
                run(one, merge, **addresses)
                routed = yaml.safe_load((one.root / "alertmanager.yml").read_text())["receivers"]
                (ours,) = (found["webhook_configs"] for found in routed if found["name"] == "freezeline")
                assert [found["url"] for found in ours] == [f"{server.url}/webhook" for server in (first, second)]

                async def one_leads() -> bool:
                    for_both = {'"http://$host:9099': '"$host', "deploy-1 deploy-2": f"{first.url} {second.url}"}
                    said = run(one, look, **for_both)
                    assert said.count("on the disks of the primary and of a standby") == len(HOSTS)
                    return said.count('"leads": true') == 1 and said.count('"leads": false') == 1

                await until(one_leads, WAIT_S, "one of both leads")
                for server in (first, second):
                    assert await server.post(FIRING) == 200
                await until(lambda: one.flag.exists() and other.flag.exists(), WAIT_S, "both hosts have the flag")
                assert await second.post(RESOLVED) == 200
                await until(lambda: not one.flag.exists() and not other.flag.exists(), WAIT_S, "no host has the flag")
