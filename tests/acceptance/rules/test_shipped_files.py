"""Every committed rule file, proof and Alertmanager config, held against the tools of both generations."""

import subprocess

import pytest

from tests.tools import ROOT, Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

RULES = sorted((ROOT / "rules").glob("*.yml"))
ALERTMANAGER = sorted((ROOT / "rules" / "alertmanager").glob("*.yml"))


def output_of(*argv: str) -> str:
    """What a tool says; empty of failures where it exits 0."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"


def test_there_are_files() -> None:
    """The tests below look at something: rules of five systems, three or more shared sets, five configs."""
    assert len(RULES) >= 8
    assert len(ALERTMANAGER) >= 5


def test_promtool_accepts_every_rule_file(generation: Generation) -> None:
    """`promtool check rules`, all files in one run, so that rules that collide across files are seen too."""
    assert output_of(str(generation.promtool), "check", "rules", *map(str, RULES)) == ""


def test_amtool_accepts_every_config(generation: Generation) -> None:
    """`amtool check-config` for each spec's config and for the merged one."""
    assert output_of(str(generation.amtool), "check-config", *map(str, ALERTMANAGER)) == ""
