"""The adapter of two commands, with real programs: what they print and how they end is judged, never believed."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from release.policy.canary import TrafficCommands
from release.traffic.adapter import TrafficError
from release.traffic.command import CommandTraffic

pytestmark = pytest.mark.acceptance


def program(directory: Path, name: str, text: str) -> str:
    """A shell script."""
    path = directory / name
    path.write_text(f"#!/bin/sh\ncd {directory}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def adapter(directory: Path, *, reads: str = "cat weight", sets: str = 'echo "$1" > weight') -> CommandTraffic:
    """Two scripts around a file."""
    commands = TrafficCommands(
        set=(program(directory, "set.sh", sets),), read=(program(directory, "read.sh", reads),), timeout_s=2
    )
    return CommandTraffic(commands, {"PATH": "/usr/bin:/bin"})


def test_a_weight_is_set_and_read_back(tmp_path: Path) -> None:
    """As a percentage without trailing zeros; an abort sets 0."""
    moved = adapter(tmp_path)
    for weight, text in (("0.1", "10"), ("0.125", "12.5"), ("1", "100"), ("0.5", "50")):
        asyncio.run(moved.set(Decimal(weight)))
        assert (tmp_path / "weight").read_text().strip() == text
    assert asyncio.run(moved.check()) == ()
    asyncio.run(moved.cut())
    assert asyncio.run(moved.read()) == 0


@pytest.mark.parametrize(
    "reads,reason",
    [
        ("echo 20", "uses the weight 20.00%, not 10.00%"),
        ("echo many", "printed no percentage: many"),
        ("echo 101", "no percentage from 0 to 100"),
        ("echo nan", "no percentage from 0 to 100"),
        ("exit 3", "exited with 3"),
        ("sleep 30", "took longer than 2 s"),
    ],
)
def test_what_the_commands_say_is_judged(tmp_path: Path, reads: str, reason: str) -> None:
    """Another weight, nonsense, an exit code, or no end."""
    with pytest.raises(TrafficError, match=reason):
        asyncio.run(adapter(tmp_path, reads=reads).set(Decimal("0.1")))


def test_a_set_that_fails_is_an_error(tmp_path: Path) -> None:
    """Although the weight reads as wanted."""
    with pytest.raises(TrafficError, match="exited with 1"):
        asyncio.run(adapter(tmp_path, sets="exit 1", reads="echo 10").set(Decimal("0.1")))
