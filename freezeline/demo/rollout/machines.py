"""Machines that each run the release that their file `release` names, and say so in their file `running`.

The demo's shop has two of them, and so has the assistant of examples/workload. The example's scripts deploy by writing
the file, and wait for the other one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from freezeline.demo.programs import DemoError, started

POLL_S = 0.05


class Command(Struct, frozen=True, kw_only=True):
    """How a release is started: its words without the port, and what the release finds in its environment."""

    argv: Sequence[str]
    environment: Mapping[str, str] = {}


Commands = Callable[[str], Command]
"""Release → its command. Raises DemoError if there is no such release."""


class Machine(Struct, frozen=True, kw_only=True):
    """One machine: `folder` holds its files, and `port` serves its release."""

    folder: Path
    port: int
    commands: Commands

    @property
    def name(self) -> str:
        """What HAProxy and Prometheus call the machine."""
        return self.folder.name

    @property
    def release(self) -> str:
        """The release that the machine has to run."""
        return (self.folder / "release").read_text().strip()

    @property
    def running(self) -> str:
        """The release that answers here; empty while none does."""
        return (self.folder / "running").read_text().strip()

    def deploy(self, release: str) -> None:
        """Name the release that the machine has to run, as the example's script does."""
        _replace(self.folder / "release", release)

    async def run(self) -> None:
        """Run what the file names, until cancelled. Raises DemoError if a release is unknown or ends by itself."""
        while True:
            release = self.release
            command = self.commands(release)
            argv = [*command.argv, "--port", str(self.port)]
            async with started(f"{self.name}-{release}", argv, self.folder.parent, more=command.environment) as program:
                _replace(self.folder / "running", release)
                while self.release == release:
                    if program.process.poll() is not None:
                        raise DemoError(f"release {release} ended: see {program.log}")
                    await asyncio.sleep(POLL_S)
                _replace(self.folder / "running", "")


def machine(root: Path, name: str, port: int, commands: Commands, *, release: str) -> Machine:
    """A machine in a new folder, which has to run `release`."""
    made = Machine(folder=root / name, port=port, commands=commands)
    made.folder.mkdir()
    _replace(made.folder / "running", "")
    made.deploy(release)
    return made


def _replace(path: Path, text: str) -> None:
    """Write a file that readers see whole. The name differs from the one that the scripts write first."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)
