"""The two machines of the shop. Each runs the release that its file `release` names, and says so in its file `running`.

The example's scripts deploy by writing the file, and wait for the other one.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from freezeline.demo.programs import DemoError, started
from freezeline.demo.rollout.acts import FIRST, PROGRAMS

POLL_S = 0.05


class Machine(Struct, frozen=True, kw_only=True):
    """One machine: `folder` holds its files, `port` serves its release, and `programs` has each release's options."""

    folder: Path
    port: int
    programs: Mapping[str, Sequence[str]]

    @property
    def name(self) -> str:
        """What HAProxy calls the machine: `stable` or `canary`."""
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
        """Run what the file names, until cancelled. Raises DemoError if a release ends by itself."""
        while True:
            release = self.release
            if release not in self.programs:
                raise DemoError(f"there is no release {release}")
            argv = [sys.executable, "-m", "freezeline.demo.rollout.service", "--port", str(self.port)]
            argv += ["--release", release, *self.programs[release]]
            async with started(f"{self.name}-{release}", argv, self.folder.parent) as program:
                _replace(self.folder / "running", release)
                while self.release == release:
                    if program.process.poll() is not None:
                        raise DemoError(f"release {release} ended: see {program.log}")
                    await asyncio.sleep(POLL_S)
                _replace(self.folder / "running", "")


def machine(root: Path, name: str, port: int, programs: Mapping[str, Sequence[str]] = PROGRAMS) -> Machine:
    """A machine that has to run the first release."""
    made = Machine(folder=root / name, port=port, programs=programs)
    made.folder.mkdir()
    _replace(made.folder / "running", "")
    made.deploy(FIRST)
    return made


def _replace(path: Path, text: str) -> None:
    """Write a file that readers see whole. The name differs from the one that the scripts write first."""
    fresh = path.with_suffix(".demo")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)
