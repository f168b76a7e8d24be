"""The two tracks of the assistant: each runs the release that its file `release` names, and says so in `running`.

The scripts in `files/` deploy by writing the file, and wait for the other one.
"""

import asyncio
import re
import sys
from pathlib import Path

from msgspec import Struct

from examples.workload.assistant.releases import release as release_of
from freezeline.demo.programs import DemoError, started

CHECKOUT = str(Path(__file__).resolve().parents[3])
POLL_S = 0.05
LISTENING = re.compile(r"listening on (http://\S+)")


class Track(Struct, frozen=True, kw_only=True):
    """One track: `folder` holds its files, and `arguments` are the assistant's."""

    folder: Path
    port: int
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """What HAProxy and Prometheus call the track: `control` or `treatment`."""
        return self.folder.name

    @property
    def release(self) -> str:
        """The release that the track has to run."""
        return (self.folder / "release").read_text().strip()

    @property
    def running(self) -> str:
        """The release that answers here; empty while none does."""
        return (self.folder / "running").read_text().strip()

    async def run(self) -> None:
        """Run what the file names, until cancelled. Raises DemoError if a release is unknown or ends by itself."""
        while True:
            release = self.release
            try:
                release_of(release)
            except ValueError as error:
                raise DemoError(str(error)) from error
            argv = [sys.executable, "-m", "examples.workload.assistant", "--track", self.name]
            argv += ["--port", str(self.port), *self.arguments]
            environment = {"ASSISTANT_RELEASE": release, "PYTHONPATH": CHECKOUT}
            async with started(f"assistant-{self.name}", argv, self.folder.parent, LISTENING, environment) as program:
                _replace(self.folder / "running", release)
                while self.release == release:
                    if program.process.poll() is not None:
                        raise DemoError(f"release {release} ended: see {program.log}")
                    await asyncio.sleep(POLL_S)
                _replace(self.folder / "running", "")


def track(root: Path, name: str, port: int, *, release: str, arguments: tuple[str, ...]) -> Track:
    """A track that has to run `release`."""
    made = Track(folder=root / name, port=port, arguments=arguments)
    made.folder.mkdir()
    _replace(made.folder / "running", "")
    _replace(made.folder / "release", release)
    return made


def _replace(path: Path, text: str) -> None:
    """Write a file that readers see whole. The name differs from the one that the scripts write first."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)
