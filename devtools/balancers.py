"""Finds or fetches haproxy and nginx, for rollouts in tests and in the demo: `python -m devtools.balancers [NAME…]`.

Each program comes from PATH, else from the user's cache, else from Debian's packages, unpacked. Nothing is installed.
`.venv/tools/balancers/` links to the programs.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devtools import debian
from devtools.environment import VENV
from devtools.programs import link, on_path
from devtools.prometheus_tools import LOCK_DEADLINE_S, cache_dir
from devtools.steps import SetupError, locked, made_at_once, run, say

# Program → its packages, with the libraries that a small machine lacks.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "haproxy": (
        "haproxy",
        "liblua5.3-0",
        "libopentracing-c-wrapper0",
        "libopentracing1",
        "libpcre2-8-0",
        "libsystemd0",
    ),
    "nginx": ("nginx", "libpcre2-8-0"),
}
FOLDER = "balancers"
DAEMONS = ("/usr/sbin",)
"""Where Debian puts daemons."""


def link_folder() -> Path:
    """The folder whose links lead to the programs."""
    return VENV / "tools" / FOLDER


def ensure(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Link these programs, fetched if need be; return the failures with their reasons."""
    problems = []
    for name in names:
        try:
            program = on_path(name, environment, also=DAEMONS) or _fetched(name, environment)
            link(link_folder() / name, program)
        except SetupError as error:
            problems.append(f"{name}: {error}")
    return problems


def _fetched(name: str, environment: Mapping[str, str]) -> Path:
    target = cache_dir(environment) / f"{name}-debian-{os.uname().machine}"
    if not target.is_dir():
        with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
            if not target.is_dir():
                _install(name, target)
    return target / name


def _install(name: str, target: Path) -> None:
    """Unpack the packages into `target`, with a script that shows the program its libraries. Raises SetupError."""
    if platform.system() != "Linux":
        raise SetupError("Debian's packages run only on Linux")
    say(f"downloading Debian's {name} (a few MB; nothing is installed)")
    with tempfile.TemporaryDirectory(prefix="freezeline-debian-") as scratch, made_at_once(target) as folder:
        debian.unpack(debian.download(PACKAGES[name], Path(scratch)), folder / "root")
        libraries = f"{os.uname().machine}-linux-gnu"
        wrapper = folder / name
        wrapper.write_text(
            "#!/bin/sh\n"
            "# The libraries that Debian's package needs lie beside the program.\n"
            'root=$(dirname "$(readlink -f "$0")")/root\n'
            f"LD_LIBRARY_PATH=$root/usr/lib/{libraries}:$root/lib/{libraries}\n"
            "export LD_LIBRARY_PATH\n"
            f'exec "$root/usr/sbin/{name}" "$@"\n'
        )
        wrapper.chmod(0o755)
        run([wrapper, "-v"], deadline_s=20)


def main(argv: Sequence[str]) -> int:
    """Fetch what is missing of the named programs, by default of all. Exit code 3 if a program cannot be had."""
    unknown = sorted(set(argv) - set(PACKAGES))
    if unknown:
        say(f"no such program: {', '.join(unknown)}; use {' or '.join(PACKAGES)}")
        return 2
    names = argv or tuple(PACKAGES)
    problems = ensure(names, os.environ)
    for problem in problems:
        say(problem)
    for name in names:
        place = link_folder() / name
        print(f"{name}  {place.readlink() if place.is_symlink() else 'missing'}")
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
