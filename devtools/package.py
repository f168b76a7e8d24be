"""Builds what people install into `dist/`. Run as `./dev package [wheel] [deb]`."""

import argparse
import sys
from pathlib import Path

from devtools import deb
from devtools.steps import SetupError, run, say

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("wheel", "deb")
BUILD_DEADLINE_S = 120


def main(argv: list[str]) -> int:
    """Build, and print the path of each file. Exit code 3 if a tool is missing or fails."""
    parser = argparse.ArgumentParser(prog="./dev package", description="Build what people install into dist/.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="wheel (with the sdist) or deb (default: both)")
    wanted = parser.parse_args(argv).kinds or KINDS
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown:
        say(f"no such package: {', '.join(unknown)}; use {' or '.join(KINDS)}")
        return 2
    folder = ROOT / "dist"
    try:
        built = wheel_and_sdist(folder)
        if "deb" in wanted:
            built = [*(built if "wheel" in wanted else ()), deb.build(built[0], folder)]
    except SetupError as error:
        say(str(error))
        return 3
    for path in built:
        print(path)
    return 0


def wheel_and_sdist(folder: Path) -> list[Path]:
    """The sdist of this checkout, and the wheel that is built from the sdist; the wheel comes first."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], deadline_s=BUILD_DEADLINE_S)
    return [max(folder.glob(pattern), key=lambda path: path.stat().st_mtime) for pattern in ("*.whl", "*.tar.gz")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
