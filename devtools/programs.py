"""Finds or fetches haproxy, nginx and redis, for tests and for the demo: `python -m devtools.programs [NAME…]`.

Each program comes from PATH, else from the user's cache, else from Debian's packages, unpacked. Nothing is installed.
`.venv/tools/programs/` links to the programs.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools import debian
from devtools.environment import VENV
from devtools.prometheus_tools import LOCK_DEADLINE_S, cache_dir
from devtools.steps import SetupError, locked, made_at_once, run, say

FOLDER = "programs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where Debian has a program: its packages, with the libraries that a small machine lacks."""

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    folder: str = "usr/sbin"


SOURCES: Mapping[str, Source] = {
    "haproxy": Source(
        packages=(
            "haproxy",
            "liblua5.3-0",
            "libopentracing-c-wrapper0",
            "libopentracing1",
            "libpcre2-8-0",
            "libsystemd0",
        ),
        programs=("haproxy",),
    ),
    "nginx": Source(packages=("nginx", "libpcre2-8-0"), programs=("nginx",)),
    "redis": Source(
        packages=(
            "redis-server",
            "redis-tools",
            "libatomic1",
            "libjemalloc2",
            "liblzf1",
            "libssl3",
            "libsystemd0",
        ),
        programs=("redis-server", "redis-check-rdb", "redis-cli"),
        folder="usr/bin",
    ),
}


def link_folder() -> Path:
    """The folder whose links lead to the programs."""
    return VENV / "tools" / FOLDER


def ensure(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Link the programs of these names, fetched if need be; return the failures with their reasons."""
    problems = []
    for name in names:
        try:
            for program, path in (_found(name, environment) or _fetched(name, environment)).items():
                _link(program, path)
        except SetupError as error:
            problems.append(f"{name}: {error}")
    return problems


def _found(name: str, environment: Mapping[str, str]) -> dict[str, Path] | None:
    """The programs on PATH (or where Debian puts daemons), but not our own links. None unless all are there."""
    places = [*environment.get("PATH", "").split(os.pathsep), "/usr/sbin"]
    ours = os.pathsep.join(place for place in places if place and not Path(place).is_relative_to(VENV))
    paths = {program: shutil.which(program, path=ours) for program in SOURCES[name].programs}
    found = {program: Path(path) for program, path in paths.items() if path is not None}
    return found if len(found) == len(paths) else None


def _fetched(name: str, environment: Mapping[str, str]) -> dict[str, Path]:
    target = cache_dir(environment) / f"{name}-debian-{os.uname().machine}"
    if not target.is_dir():
        with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
            if not target.is_dir():
                _install(name, SOURCES[name], target)
    return {program: target / program for program in SOURCES[name].programs}


def _install(name: str, source: Source, target: Path) -> None:
    """Unpack the packages into `target`, with scripts that show the programs their libraries. Raises SetupError."""
    if platform.system() != "Linux":
        raise SetupError("Debian's packages run only on Linux")
    say(f"downloading Debian's {name} (a few MB; nothing is installed)")
    with tempfile.TemporaryDirectory(prefix="freezeline-debian-") as scratch, made_at_once(target) as folder:
        debian.unpack(debian.download(source.packages, Path(scratch)), folder / "root")
        libraries = f"{os.uname().machine}-linux-gnu"
        for program in source.programs:
            wrapper = folder / program
            wrapper.write_text(
                "#!/bin/sh\n"
                "# The libraries that Debian's package needs lie beside the program.\n"
                'root=$(dirname "$(readlink -f "$0")")/root\n'
                f"LD_LIBRARY_PATH=$root/usr/lib/{libraries}:$root/lib/{libraries}\n"
                "export LD_LIBRARY_PATH\n"
                f'exec "$root/{source.folder}/{program}" "$@"\n'
            )
            wrapper.chmod(0o755)
            run([wrapper, "-v"], deadline_s=20)


def _link(program: str, path: Path) -> None:
    place = link_folder() / program
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() and place.readlink() == path:
        return
    fresh = place.with_name(f".{program}.{os.getpid()}")
    fresh.symlink_to(path)
    fresh.replace(place)


def main(argv: Sequence[str]) -> int:
    """Fetch what is missing of the named programs, by default of all. Exit code 3 if a program cannot be had."""
    unknown = sorted(set(argv) - set(SOURCES))
    if unknown:
        *first, last = SOURCES
        say(f"no such program: {', '.join(unknown)}; use {', '.join(first)} or {last}")
        return 2
    names = argv or tuple(SOURCES)
    problems = ensure(names, os.environ)
    for problem in problems:
        say(problem)
    for program in (program for name in names for program in SOURCES[name].programs):
        place = link_folder() / program
        print(f"{program}  {place.readlink() if place.is_symlink() else 'missing'}")
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
