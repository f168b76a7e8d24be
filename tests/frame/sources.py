"""What is in the tree, for tests about the tree itself."""

import subprocess
from pathlib import Path

from tests.tools import ROOT

PACKAGES = ("freezeline", "generator", "receiver", "release")


def tracked_files() -> list[Path]:
    """Every file in git, and every new one that git does not ignore."""
    output = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=True,
    ).stdout
    paths = (ROOT / name.decode() for name in output.split(b"\0") if name)
    return sorted(path for path in set(paths) if path.is_file())


def modules(*packages: str) -> dict[str, Path]:
    """The modules of these packages by their dotted names; a package without any is a mistake of the caller."""
    found = {}
    for package in packages:
        paths = sorted((ROOT / package).rglob("*.py"))
        assert paths, package
        for path in paths:
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
