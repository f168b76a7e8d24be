"""Commands of docs/engines.md that touch what is not ours: an upload leaves the tenant's other rules alone."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from freezeline.cli import main
from tests.tools import ROOT

PAGE = (ROOT / "docs/engines.md").read_text()


def test_an_upload_names_our_namespaces_alone(tmp_path: Path) -> None:
    """Without `--namespaces`, mimirtool and cortextool delete all rules of the tenant that the files do not hold."""
    (generate,) = re.findall(r"`freezeline (generate slos/ --target mimir [^`]*)`", PAGE)
    (block,) = re.findall(r"^```sh\n(mimirtool .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert (
        main([*generate.replace("slos/", str(ROOT / "slos")).replace("deploy", str(tmp_path / "deploy")).split()]) == 0
    )
    shim = tmp_path / "mimirtool"
    shim.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    shim.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-euc", block], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    (named,) = re.findall(r"^--namespaces=(.*)$", ran.stdout, re.MULTILINE)
    files = sorted((tmp_path / "deploy/rules/upload").glob("*.yaml"))
    assert len(files) > 1
    assert sorted(named.split(",")) == sorted(yaml.safe_load(file.read_text())["namespace"] for file in files)
    assert {str(file.relative_to(tmp_path)) for file in files} <= set(ran.stdout.splitlines())
