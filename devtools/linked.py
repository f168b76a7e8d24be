"""Programs of this machine, and the links through which tests find them."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools.environment import VENV


def on_path(name: str, environment: Mapping[str, str], *, also: Sequence[str] = ()) -> Path | None:
    """The program on PATH or in one of the folders `also`, but not our own link."""
    places = [*environment.get("PATH", "").split(os.pathsep), *also]
    ours = [place for place in places if place and not Path(place).is_relative_to(VENV)]
    path = shutil.which(name, path=os.pathsep.join(ours))
    return Path(path) if path is not None else None


def link(place: Path, program: Path) -> None:
    """Make `place` a link to the program, in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() and place.readlink() == program:
        return
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    fresh.symlink_to(program)
    fresh.replace(place)
