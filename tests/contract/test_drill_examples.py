"""The schedules in examples/drill/ call drills that the command line accepts, and each timer has its service."""

import argparse
import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml

from freezeline.commands import drill
from tests.tools import ROOT

FOLDER = ROOT / "examples" / "drill"
UNITS = sorted(FOLDER.glob("*.service"))
CALL = re.compile(r"freezeline drill (.+)")


def accepted(words: list[str]) -> argparse.Namespace:
    """What the parser of `freezeline drill` makes of these words."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    drill.configure(parser)
    return parser.parse_args(words)


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file of systemd."""
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign] # names of systemd have capitals
    found.read(path)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_and_its_timer(path: Path) -> None:
    """The command is accepted; a timer of the same name says when; the unit may write where the drill writes."""
    service, timer = unit(path)["Service"], unit(path.with_suffix(".timer"))
    match = CALL.search(service["ExecStart"])
    assert match
    args = accepted(shlex.split(match[1]))
    assert path.stem == f"freezeline-drill-{args.what}"
    writable = service["ReadWritePaths"].split()
    assert {args.state, *([str(args.backups)] if args.what == "recovery" else [])} <= set(writable)
    assert (service["Type"], timer["Install"]["WantedBy"]) == ("oneshot", "timers.target")
    assert timer["Timer"]["OnCalendar"]


def test_every_line_of_the_crontab() -> None:
    """Five fields of time, then a command that is accepted."""
    lines = [line for line in (FOLDER / "crontab").read_text().splitlines() if CALL.search(line)]
    kinds = []
    for line in lines:
        times, _, words = line.partition("freezeline drill ")
        assert len(times.split()) == 5
        kinds.append(accepted(shlex.split(words)).what)
    assert kinds == ["loop", "recovery", "rollback"]


def test_the_job_of_kubernetes() -> None:
    """Its arguments are accepted, and its rehearsals have one host."""
    job = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "drill"
    assert accepted(container["args"][1:]).what == "loop"
    assert [one["name"] for one in container["env"]] == ["FREEZELINE_HOST"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
