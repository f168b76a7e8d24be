"""Finds or fetches promtool, prometheus, alertmanager and amtool, in two generations. Run as `./dev tools`.

`old` is the oldest version that Freezeline supports (Debian's), `current` the newest that builds. Each binary comes
from PATH, else from the user's cache, else from Debian's packages (old) or Go (current). `.venv/tools/<generation>/`
links to the binaries.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devtools import debian, golang
from devtools.environment import VENV
from devtools.steps import SetupError, locked, run, say

GENERATIONS = ("old", "current")
# Binary → its other names.
BINARIES = {
    "promtool": (),
    "prometheus": (),
    "alertmanager": ("prometheus-alertmanager",),
    "amtool": (),
}
# For each product: the oldest supported version, and the first version that counts as current.
LIMITS = {"prometheus": ((2, 40), (3, 0)), "alertmanager": ((0, 25), (0, 30))}

LOCK_DEADLINE_S = 2 * golang.BUILD_DEADLINE_S
VERSION_DEADLINE_S = 20

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Binary:
    """One program. `origin` says where it was found: PATH, or a folder of the cache."""

    name: str
    path: Path
    version: Version
    origin: str

    @property
    def generation(self) -> str | None:
        """`old` or `current`; None if Freezeline does not support the version."""
        oldest, current = LIMITS[product_of(self.name)]
        if self.version < oldest:
            return None
        return "current" if self.version >= current else "old"


Found = dict[tuple[str, str], Binary]


def product_of(binary: str) -> str:
    """The product that a binary belongs to."""
    return "alertmanager" if binary in {"alertmanager", "amtool"} else "prometheus"


def cache_dir(environment: Mapping[str, str]) -> Path:
    """The user's cache of tools, shared by all checkouts."""
    base = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".cache"
    return Path(base) / "freezeline" / "tools"


def cached_folders(cache: Path) -> dict[str, Path]:
    """The cache's folders with the source of their contents; each folder's name holds the version."""
    architecture = os.uname().machine
    return {
        "debian": cache / f"debian-{architecture}",
        **{name: cache / f"{name}-{product.version}-{architecture}" for name, product in golang.PRODUCTS.items()},
    }


def find(environment: Mapping[str, str]) -> Found:
    """The binaries on PATH and in the cache, by generation and name; PATH comes first, then the newest."""
    found: Found = {}
    for candidate in _candidates(environment):
        if candidate.generation is not None:
            found.setdefault((candidate.generation, candidate.name), candidate)
    return found


def _candidates(environment: Mapping[str, str]) -> Iterator[Binary]:
    cache = cache_dir(environment)
    for place in environment.get("PATH", "").split(os.pathsep):
        ours = Path(place).is_relative_to(VENV) or Path(place).is_relative_to(cache)
        if place and not ours:
            yield from _in_folder(Path(place), "PATH")
    known = [folder for folder in cache.glob("[!.]*") if folder.is_dir()]
    for folder in sorted(known, key=_version_in_name, reverse=True):
        yield from _in_folder(folder, f"cache ({folder.name})")


def _version_in_name(folder: Path) -> tuple[Version, str]:
    return tuple(map(int, re.findall(r"\d+", folder.name.rpartition("-")[0]))), folder.name


def _in_folder(folder: Path, origin: str) -> Iterator[Binary]:
    for name, others in BINARIES.items():
        for spelling in (name, *others):
            path = shutil.which(spelling, path=str(folder))
            if path is None:
                continue
            version = _version(Path(path))
            if version is not None:
                yield Binary(name=name, path=Path(path).absolute(), version=version, origin=origin)


def _version(path: Path) -> Version | None:
    """The version that `--version` prints; None for a program that does not answer like one of these tools."""
    try:
        output = run([path, "--version"], deadline_s=VERSION_DEADLINE_S)
    except SetupError as error:
        say(f"left out: {error}")
        return None
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", output)
    return None if match is None else tuple(map(int, match.groups()))


def link(found: Found, folder: Path) -> None:
    """Make `folder/<generation>/<binary>` point at the binaries found. A generation may be incomplete."""
    for generation in GENERATIONS:
        (folder / generation).mkdir(parents=True, exist_ok=True)
        for name in BINARIES:
            place = folder / generation / name
            binary = found.get((generation, name))
            if binary is None:
                place.unlink(missing_ok=True)
            elif not place.is_symlink() or place.readlink() != binary.path:
                fresh = place.with_name(f".{name}.{os.getpid()}")
                fresh.symlink_to(binary.path)
                fresh.replace(place)


def missing(found: Found, generation: str) -> list[str]:
    """The binaries that a generation lacks."""
    return [name for name in BINARIES if (generation, name) not in found]


def fetch_old(environment: Mapping[str, str]) -> None:
    """Fill the cache with Debian's binaries."""
    target = cached_folders(cache_dir(environment))["debian"]
    _once(target, lambda: debian.install_tools(target))


def fetch_current(environment: Mapping[str, str], lacking: list[str]) -> None:
    """Fill the cache with Go's builds of the products whose binaries are lacking."""
    for name in sorted({product_of(binary) for binary in lacking}, reverse=True):
        built(name, environment)


def built(product: str, environment: Mapping[str, str]) -> Path:
    """The cache's folder of one of Go's products, built unless it is there. Raises SetupError."""
    target = cached_folders(cache_dir(environment))[product]
    _once(target, lambda: golang.build(golang.PRODUCTS[product], target))
    return target


def _once(target: Path, fill: Callable[[], None]) -> None:
    """Fill a folder of the cache once, even if two runs need it together."""
    if target.is_dir():
        return
    with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
        if not target.is_dir():
            fill()


def ensure_all(environment: Mapping[str, str]) -> list[str]:
    """Fetch the missing binaries of both generations; return the failures with their reasons."""
    problems = []
    for generation in GENERATIONS:
        lacking = missing(find(environment), generation)
        if not lacking:
            continue
        try:
            if generation == "old":
                fetch_old(environment)
            else:
                fetch_current(environment, lacking)
        except SetupError as error:
            problems.append(f"{generation} {', '.join(lacking)}: {error}")
    return problems


def ensure_any(environment: Mapping[str, str]) -> list[str]:
    """Fetch the binaries that no generation has, the quickest way first; return the failures with their reasons."""
    ways: tuple[Callable[[list[str]], None], ...] = (
        lambda _: fetch_old(environment),
        lambda lacking: fetch_current(environment, lacking),
    )
    problems: list[str] = []
    for way in ways:
        lacking = _in_no_generation(find(environment))
        if not lacking:
            break
        try:
            way(lacking)
        except SetupError as error:
            problems.append(f"{', '.join(lacking)}: {error}")
    return problems if _in_no_generation(find(environment)) else []


def _in_no_generation(found: Found) -> list[str]:
    return [name for name in BINARIES if all(name in missing(found, generation) for generation in GENERATIONS)]


def table(found: Found) -> str:
    """The binaries and their origins, one line for each."""
    rows = [("generation", "binary", "version", "from", "path")]
    for generation in GENERATIONS:
        for name in BINARIES:
            binary = found.get((generation, name))
            if binary is None:
                rows.append((generation, name, "missing", "-", "-"))
            else:
                version = ".".join(map(str, binary.version))
                rows.append((generation, name, version, binary.origin, str(binary.path)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]) for row in rows)


HINT = (
    "put promtool, prometheus, alertmanager and amtool on PATH "
    "(Prometheus ≥ 2.40, Alertmanager ≥ 0.25), or install apt-get or Go ≥ 1.26; then run `./dev tools` again"
)


def main(arguments: list[str]) -> int:
    """Find, fetch, link and print. Exit code 3 if a requested binary is missing."""
    parser = argparse.ArgumentParser(prog="./dev tools", description=__doc__)
    wants = parser.add_mutually_exclusive_group()
    wants.add_argument("--all", action="store_true", help="fetch the missing tools of both generations")
    wants.add_argument(
        "--any", action="store_true", help="fetch only tools that neither generation has, the quickest way"
    )
    parser.add_argument("--quiet", action="store_true", help="print the table only when something is missing")
    parser.add_argument("--links", type=Path, default=VENV / "tools", help="the folder for the links to the tools")
    options = parser.parse_args(arguments)
    problems: list[str] = []
    try:
        if options.all:
            problems = ensure_all(os.environ)
        elif options.any:
            problems = ensure_any(os.environ)
    except KeyboardInterrupt:
        return 130
    found = find(os.environ)
    link(found, options.links)
    if problems or not options.quiet:
        print(table(found))
    for problem in problems:
        say(problem)
    if problems:
        say(HINT)
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
