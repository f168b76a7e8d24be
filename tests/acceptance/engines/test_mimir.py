"""Uploads with mimirtool into a real Mimir with its shipped limits, by the command of docs/engines.md."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from freezeline.cli import main
from tests.engines import mimir
from tests.engines.servers import Engine, program_of
from tests.tools import ROOT
from tests.waiting import wait_until

# Go builds Mimir in five minutes, so `./dev soak` runs these tests.
pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(1800)]

PAGE = (ROOT / "docs/engines.md").read_text()
OTHER = """\
namespace: somebody
groups:
  - name: theirs
    rules: [{record: theirs, expr: vector(1)}]
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A Mimir without rules."""
    with mimir.mimir(tmp_path / "mimir") as running:
        yield running


def generated(folder: Path, target: str) -> list[Path]:
    """The files to upload, for the shipped specs."""
    argv = ["generate", str(ROOT / "slos"), "--scope", "slos", "--target", target, "--format", "upload"]
    assert main([*argv, "-o", str(folder / "deploy"), "--only", "rules"]) == 0
    return sorted((folder / "deploy/rules/upload").iterdir())


def upload(engine: Engine, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of the page in a folder."""
    (block,) = re.findall(r"^```sh\n(mimirtool .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    command = block.replace("http://mimir:8080", engine.metrics)
    assert command != block
    env = {**os.environ, "PATH": f"{program_of('mimir', 'mimirtool').parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-euc", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def loaded(engine: Engine) -> set[tuple[str, str]]:
    """The namespaces and names of the groups in Mimir's ruler."""
    return {(group["file"], group["name"]) for group in engine.rule_groups()}


def wanted(files: list[Path]) -> set[tuple[str, str]]:
    """The namespaces and names of the groups in files."""
    read = [yaml.safe_load(file.read_text()) for file in files]
    return {(each["namespace"], group["name"]) for each in read for group in each["groups"]}


def test_the_pages_command_uploads_all_rules_and_deletes_no_others(engine: Engine, tmp_path: Path) -> None:
    """All groups are within the shipped limits; a second upload changes nothing."""
    other = tmp_path / "other.yaml"
    other.write_text(OTHER)
    mimir.upload(engine, [other])
    files = generated(tmp_path, "mimir")
    first = upload(engine, tmp_path)
    assert first.returncode == 0, first.stderr
    expected = wanted(files) | {("somebody", "theirs")}
    wait_until(lambda: loaded(engine) == expected, 30, "the ruler has all rules")
    second = upload(engine, tmp_path)
    assert "Sync Summary: 0 Groups Created, 0 Groups Updated, 0 Groups Deleted" in second.stdout + second.stderr


def test_groups_that_are_not_written_for_mimir_are_refused(engine: Engine, tmp_path: Path) -> None:
    """`--target mimir` is needed: Mimir takes at most 20 rules in a group."""
    generated(tmp_path, "cortex")
    refused = upload(engine, tmp_path)
    assert refused.returncode != 0
    assert "per-user rules per rule group limit (limit: 20" in refused.stdout + refused.stderr
