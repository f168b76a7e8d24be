"""Finds or fetches Redis for the workload and its tests: `python -m devtools.redis_server`.

The programs come from PATH, else from the user's cache, else from Debian's packages, unpacked. Nothing is installed,
and no server starts. `.venv/tools/redis/` links to the programs.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devtools import debian
from devtools.environment import VENV
from devtools.programs import link, on_path
from devtools.prometheus_tools import LOCK_DEADLINE_S, cache_dir
from devtools.steps import SetupError, locked, made_at_once, run, say

PROGRAMS = ("redis-server", "redis-cli", "redis-check-rdb")
# The packages with the programs, and with the libraries that a small machine lacks.
PACKAGES = ("redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1", "libssl3", "libsystemd0")


def link_folder() -> Path:
    """The folder whose links lead to the programs."""
    return VENV / "tools" / "redis"


def ensure(environment: Mapping[str, str]) -> None:
    """Link all programs, fetched if need be. Raises SetupError."""
    found = {name: on_path(name, environment) for name in PROGRAMS}
    folder = None if all(found.values()) else _fetched(environment)
    for name in PROGRAMS:
        link(link_folder() / name, (folder / name if folder else found[name]) or Path(name))


def _fetched(environment: Mapping[str, str]) -> Path:
    target = cache_dir(environment) / f"redis-debian-{os.uname().machine}"
    if not target.is_dir():
        with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
            if not target.is_dir():
                _install(target)
    return target


def _install(target: Path) -> None:
    """Unpack the packages into `target`, with scripts that show the programs their libraries. Raises SetupError."""
    if platform.system() != "Linux":
        raise SetupError("Debian's packages run only on Linux")
    say("downloading Debian's redis (2 MB; nothing is installed)")
    with tempfile.TemporaryDirectory(prefix="freezeline-debian-") as scratch, made_at_once(target) as folder:
        debian.unpack(debian.download(PACKAGES, Path(scratch)), folder / "root")
        libraries = f"{os.uname().machine}-linux-gnu"
        for name in PROGRAMS:
            wrapper = folder / name
            wrapper.write_text(
                "#!/bin/sh\n"
                "# The libraries that Debian's package needs lie beside the program.\n"
                'root=$(dirname "$(readlink -f "$0")")/root\n'
                f"LD_LIBRARY_PATH=$root/usr/lib/{libraries}:$root/lib/{libraries}\n"
                "export LD_LIBRARY_PATH\n"
                f'exec "$root/usr/bin/{name}" "$@"\n'
            )
            wrapper.chmod(0o755)
        run([folder / "redis-server", "--version"], deadline_s=20)


def main() -> int:
    """Fetch what is missing, and print where the programs are. Exit code 3 if they cannot be had."""
    try:
        ensure(os.environ)
    except SetupError as error:
        say(f"redis: {error}")
        return 3
    for name in PROGRAMS:
        print(f"{name}  {(link_folder() / name).readlink()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
