"""The README's ten minutes, literally: its blocks run as they stand, in order, by an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.readme.blocks import Commands, blocks, section
from tests.tools import NAMES, ROOT, Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.old_in_soak, pytest.mark.timeout(240)]

HEADING = "Ten minutes, on your Prometheus and Alertmanager"
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def walked(generation: Generation, scratch: Path) -> list[dict[str, Any]]:
    """What each step said."""
    order = {
        "blocks": msgspec.to_builtins(blocks(section((ROOT / "README.md").read_text("utf-8"), HEADING))),
        "tools": {name: str(getattr(generation, name).resolve()) for name in NAMES},
        "scratch": str(scratch),
    }
    done = subprocess.run(
        [*NAMESPACES, sys.executable, "-m", "tests.acceptance.readme.walk"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users and directories for the walk")
@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="needs unshare and ip")
def test_the_ten_minutes(generation: Generation, tmp_path: Path) -> None:
    """Every block succeeds without a warning; a third user sees the freeze, and its end; health says ok."""
    steps = walked(generation, tmp_path)
    failed = [step for step in steps if step["code"] != 0 and step["by"] != "passerby"]
    assert failed == []
    assert [step["said"] for step in steps if "warning" in step["said"] or "PROBLEM" in step["said"]] == []
    frozen, free, health = steps_of_others(steps)
    assert (frozen["code"], free["code"]) == (1, 0), (frozen, free)
    assert json.loads(health["said"])["status"] == "ok"
    (status,) = [step["said"] for step in steps if "freezeline status" in step["what"]]
    assert "checkout: FROZEN since " in status
    assert "ends when: alert resolved for 5 min" in status


def steps_of_others(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the third user saw: during the freeze, after the freeze, and the health."""
    return [step for step in steps if step["by"] == "passerby"]


def test_the_section_has_the_blocks_that_the_walk_needs() -> None:
    """The walk would otherwise pass over nothing."""
    found = blocks(section((ROOT / "README.md").read_text("utf-8"), HEADING))
    commands = [block.text for block in found if isinstance(block, Commands)]
    assert sum(text.startswith("freezeline serve") for text in commands) == 1
    assert sum("alert add" in text for text in commands) == 1
    assert "FREEZE.FLAG" in commands[-1]
    assert len(found) >= 10
