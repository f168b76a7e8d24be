"""Reads a Containerfile, and carries its steps out on a machine of its own instead of in a container.

Only the forms that ours uses are known; any other is an error. FROM gives a fresh machine: this machine's files, not
the named image's. Each RUN and COPY is done as a builder does it.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from msgspec import Struct, field

from tests.acceptance.packages.machine import Machine
from tests.tools import ROOT

TEXT = (ROOT / "packaging" / "container" / "Containerfile").read_text()
BASE_PATH = "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
COPY_DEADLINE_S = 60


class Image(Struct, kw_only=True):
    """A stage of the build, and what its instructions say about the container."""

    machine: Machine
    base: str
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def variables(self) -> list[str]:
        """The words before a command that give it the container's environment and no other."""
        return ["env", "-i", *(f"{name}={value}" for name, value in self.environment.items())]


def instructions(text: str) -> list[tuple[str, str]]:
    """Every instruction with its arguments."""
    lines = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def build(text: str, context: Mapping[str, Path], fresh: Callable[[], Machine]) -> Image:
    """Carry out a Containerfile, and return its last stage. `context` has the file of each pattern that COPY names."""
    stages: dict[str, Image] = {}
    image: Image | None = None
    for word, rest in instructions(text):
        if word == "ARG":
            continue
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            image = stages[name] = Image(machine=fresh(), base=base)
            continue
        assert image is not None, "an instruction before FROM"
        _carry_out(image, word, rest, context, stages)
    assert image is not None
    return image


def _carry_out(image: Image, word: str, rest: str, context: Mapping[str, Path], stages: Mapping[str, Image]) -> None:
    match word:
        case "RUN":
            # pip's own settings, and nothing else of this process.
            kept = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
            image.machine.run("env", "-i", BASE_PATH, "HOME=/root", *kept, "sh", "-c", rest)
        case "COPY" if rest.startswith("--from="):
            stage, path, target = rest.removeprefix("--from=").split()
            assert path == target
            _copy_tree(stages[stage].machine, image.machine, path)
        case "COPY":
            *names, folder = rest.split()
            image.machine.run("mkdir", "-p", folder)
            image.machine.run("cp", *(context[name] for name in names), folder)
        case _:
            _describe(image, word, rest)


def _describe(image: Image, word: str, rest: str) -> None:
    match word:
        case "ENV":
            image.environment |= dict(pair.split("=", 1) for pair in rest.split())
        case "USER":
            image.user = rest
        case "VOLUME":
            image.volumes = yaml.safe_load(rest)
        case "HEALTHCHECK":
            image.health = yaml.safe_load(rest.partition("CMD ")[2])
        case "ENTRYPOINT":
            image.entrypoint = yaml.safe_load(rest)
        case "CMD":
            image.command = yaml.safe_load(rest)
        case _:
            assert (word, rest) == ("EXPOSE", "9099")


def _copy_tree(source: Machine, target: Machine, path: str) -> None:
    with subprocess.Popen(source.argv("tar", "-C", "/", "-cf", "-", path[1:]), stdout=subprocess.PIPE) as packed:
        unpack = target.argv("tar", "-C", "/", "-xf", "-")
        subprocess.run(unpack, stdin=packed.stdout, timeout=COPY_DEADLINE_S, check=True)
    assert packed.returncode == 0


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file of the checkout away from the builder."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    return not any(Path(name).match(pattern) for pattern in kept)
