"""Finds or fetches PostgreSQL and pgbouncer for tests: `python -m devtools.postgres`.

The programs come from PATH or Debian's folder, else from Debian's packages, unpacked. Nothing is installed, and no
server starts. `.venv/tools/postgresql/` links to the programs.

PostgreSQL refuses to run as root. Root's tests therefore start the servers as the user `nobody`, who must be able to
read the unpacked packages. A cache that others cannot read is not used: the packages then go to /var/cache/freezeline.
"""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devtools import debian
from devtools.environment import VENV
from devtools.linked import link, on_path
from devtools.prometheus_tools import LOCK_DEADLINE_S, cache_dir
from devtools.steps import SetupError, locked, made_at_once, run, say

VERSION = 15
"""The oldest version that the receiver supports, and the one in Debian 12."""

SERVER = ("initdb", "pg_ctl", "postgres", "pg_basebackup")
POOLER = "pgbouncer"
SERVER_PACKAGES = ("postgresql-15", "postgresql-client-15")
POOLER_PACKAGES = ("pgbouncer",)
# What both need, as far as a small machine lacks the libraries.
LIBRARIES = (
    "libc-ares2",
    "libevent-2.1-7",
    "libgssapi-krb5-2",
    "libicu72",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "libpq5",
    "libsasl2-2",
    "libssl3",
    "libsystemd0",
    "libxml2",
)
DEBIAN_SERVER = f"usr/lib/postgresql/{VERSION}/bin"
DEBIAN_POOLER = "usr/sbin"
SHARED_CACHE = Path("/var/cache/freezeline")


def link_folder() -> Path:
    """The folder whose links lead to the programs."""
    return VENV / "tools" / "postgresql"


def ensure(environment: Mapping[str, str], *, system: Path = Path("/")) -> list[str]:
    """Link all programs, fetched if need be; return the failures with their reasons."""
    try:
        found = _servers(environment, system) or _fetched(SERVER, DEBIAN_SERVER, SERVER_PACKAGES, environment)
        pooler = on_path(POOLER, environment, also=[str(system / DEBIAN_POOLER)])
        found |= {POOLER: pooler} if pooler else _fetched((POOLER,), DEBIAN_POOLER, POOLER_PACKAGES, environment)
    except SetupError as error:
        return [str(error)]
    for name, program in found.items():
        link(link_folder() / name, program)
    return []


def _servers(environment: Mapping[str, str], system: Path) -> dict[str, Path] | None:
    """The programs of one installed PostgreSQL that is new enough; None if there is none."""
    first = on_path("postgres", environment, also=[str(system / DEBIAN_SERVER)])
    if first is None:
        return None
    folder = first.resolve().parent
    programs = {name: folder / name for name in SERVER}
    if not all(os.access(program, os.X_OK) for program in programs.values()):
        return None
    version = re.search(r"\) (\d+)", run([first, "--version"], deadline_s=20))
    return programs if version and int(version[1]) >= VERSION else None


def _fetched(
    names: tuple[str, ...], place: str, packages: tuple[str, ...], environment: Mapping[str, str]
) -> dict[str, Path]:
    target = _cache(environment) / f"{packages[0]}-debian-{os.uname().machine}"
    if not target.is_dir():
        with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
            if not target.is_dir():
                _install(names, place, packages, target)
    return {name: target / name for name in names}


def _cache(environment: Mapping[str, str]) -> Path:
    """The user's cache, or for root a cache that `nobody` can read."""
    cache = cache_dir(environment)
    if os.geteuid() != 0 or _readable_by_all(cache):
        return cache
    SHARED_CACHE.mkdir(mode=0o755, exist_ok=True)
    return SHARED_CACHE


def _readable_by_all(folder: Path) -> bool:
    existing = [one for one in (folder, *folder.parents) if one.exists()]
    return all(one.stat().st_mode & 0o005 == 0o005 for one in existing)


def _install(names: tuple[str, ...], place: str, packages: tuple[str, ...], target: Path) -> None:
    """Unpack packages into `target`, with scripts that show the programs their libraries. Raises SetupError."""
    if platform.system() != "Linux":
        raise SetupError(f"{packages[0]} is not here, and Debian's packages run only on Linux")
    say(f"downloading Debian's {packages[0]} with its libraries (about 35 MB; nothing is installed)")
    with tempfile.TemporaryDirectory(prefix="freezeline-debian-") as scratch, made_at_once(target) as folder:
        debian.unpack(debian.download((*packages, *LIBRARIES), Path(scratch)), folder / "root")
        libraries = f"{os.uname().machine}-linux-gnu"
        for name in names:
            wrapper = folder / name
            wrapper.write_text(
                "#!/bin/sh\n"
                "# The libraries that Debian's package needs lie beside the program.\n"
                'root=$(dirname "$(readlink -f "$0")")/root\n'
                f"LD_LIBRARY_PATH=$root/usr/lib/{libraries}:$root/lib/{libraries}\n"
                "export LD_LIBRARY_PATH\n"
                f'exec "$root/{place}/{name}" "$@"\n'
            )
            wrapper.chmod(0o755)
            run([wrapper, "--version"], deadline_s=20)


def main() -> int:
    """Link the programs, and list them. Exit code 3 if one cannot be had."""
    problems = ensure(os.environ)
    for problem in problems:
        say(f"postgresql: {problem}")
    for name in (*SERVER, POOLER):
        place = link_folder() / name
        print(f"{name}  {place.readlink() if place.is_symlink() else 'missing'}")
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
