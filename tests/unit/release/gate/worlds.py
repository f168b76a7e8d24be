"""Surroundings of a gate: a directory of evidence, an environment, a clock."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from freezeline.problems import Problems
from receiver.policy.model import Policy
from receiver.policy.read import parse_policy
from receiver.sources.prometheus import Prometheus
from release.gate.answer import Finding
from release.gate.ask import ask
from release.gate.world import AskReceiver, World
from release.policy.gate import Check
from tests.unit.receiver.builders import raw_policy

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HEX = "0123456789abcdef" * 4
HOST = "deploy-1"
SPEC = raw_policy()["spec"]
DIGEST = f"sha256:{HEX}"
IMAGE = f"registry.example.org/app@{DIGEST}"


def ago(hours: float) -> str:
    """A moment before NOW, as reports write it."""
    return (NOW - timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def policy(flag: Path) -> Policy:
    """A policy with one flag."""
    raw = raw_policy()
    for action in raw["actions"].values():
        if action["type"] == "freeze":
            action["flag"] = str(flag)
    problems = Problems()
    found = parse_policy(json.dumps(raw), file="p.json", channels=None, problems=problems)
    assert found is not None, list(problems)
    return found


def world(
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    prometheus: Prometheus | None = None,
    receiver: AskReceiver | None = None,
    checks: Mapping[str, Check] | None = None,
    sources: Mapping[str, str] | None = None,
) -> World:
    """A gate in this directory, where the flag and the rehearsals lie, too."""
    return World(
        policy=policy(directory / "FREEZE.FLAG"),
        checks=checks or {},
        now=NOW,
        environment=environment or {},
        directory=directory,
        rehearsals=directory / "rehearsals.jsonl",
        host=HOST,
        prometheus=prometheus,
        receiver=receiver,
        sources=sources or {},
    )


def answer(check: Check, surroundings: World) -> Finding:
    """Ask one check."""
    return asyncio.run(ask(check, surroundings))


def write(directory: Path, name: str, content: Any) -> None:
    """Write a report as JSON."""
    (directory / name).write_text(json.dumps(content), "utf-8")
