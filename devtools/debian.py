"""Debian packages, unpacked into a folder: nothing is installed, no service starts, and no root is needed."""

import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devtools.steps import SetupError, made_at_once, run, say

UPDATE_DEADLINE_S = 180
DOWNLOAD_DEADLINE_S = 300

PACKAGES = ("prometheus", "prometheus-alertmanager")
# The path of the templates that is compiled into Debian's alertmanager.
TEMPLATES = b"/usr/share/prometheus/alertmanager"


def download(names: Sequence[str], folder: Path) -> list[Path]:
    """Download the packages' files into `folder` and return them.

    If the machine's package lists are empty or old, private lists are downloaded, which needs no root. Raises
    SetupError.
    """
    common = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]
    try:
        run([*common, "download", *names], cwd=folder, deadline_s=DOWNLOAD_DEADLINE_S)
    except SetupError:
        say("downloading Debian's package lists (only for this download)")
        with tempfile.TemporaryDirectory(prefix="freezeline-apt-") as state:
            (Path(state) / "lists" / "partial").mkdir(parents=True)
            (Path(state) / "cache" / "archives" / "partial").mkdir(parents=True)
            private = [*common, "-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache"]
            run([*private, "update"], deadline_s=UPDATE_DEADLINE_S)
            run([*private, "download", *names], cwd=folder, deadline_s=DOWNLOAD_DEADLINE_S)
    files = [sorted(folder.glob(f"{name}_*.deb")) for name in names]
    missing = [name for name, found in zip(names, files, strict=True) if not found]
    if missing:
        raise SetupError(f"apt-get downloaded no {' '.join(missing)}")
    return [found[-1] for found in files]


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Unpack the packages' files below `folder`, without running any of their scripts. Raises SetupError."""
    for package in packages:
        run(["dpkg-deb", "--extract", package, folder], deadline_s=60)


def install_tools(target: Path) -> None:
    """Put Debian's promtool, prometheus, alertmanager and amtool into `target`, all or none. Raises SetupError."""
    if platform.system() != "Linux":
        raise SetupError("Debian's packages run only on Linux")
    say("downloading Debian's prometheus and prometheus-alertmanager (about 30 MB; nothing is installed)")
    with tempfile.TemporaryDirectory(prefix="freezeline-debian-") as scratch, made_at_once(target) as folder:
        unpacked = Path(scratch) / "root"
        unpack(download(PACKAGES, Path(scratch)), unpacked)
        for name in ("promtool", "prometheus", "amtool"):
            shutil.move(unpacked / "usr" / "bin" / name, folder / name)
        _relocate_alertmanager(unpacked, folder, target)


def _relocate_alertmanager(unpacked: Path, folder: Path, target: Path) -> None:
    """Make Debian's alertmanager run from `target`.

    The binary opens its templates at an absolute path below /usr/share, where only root can write. In this copy, a path
    of the same length replaces it: the path of an open file descriptor, which a small script opens.
    """
    program = (unpacked / "usr" / "bin" / "prometheus-alertmanager").read_bytes()
    through_fd = b"/proc/self/fd/9".ljust(len(TEMPLATES) - 1, b"/") + b"."
    # The same string also begins the paths of the web page, which the tests do not use.
    here = program.find(TEMPLATES)
    while here >= 0 and program[here + len(TEMPLATES) :].startswith((b"/ui/", b"/no-ui")):
        here = program.find(TEMPLATES, here + 1)
    if here < 0:
        raise SetupError(
            "Debian's alertmanager has another path of templates now: update TEMPLATES in devtools/debian.py"
        )
    (folder / "lib").mkdir()
    real = folder / "lib" / "alertmanager"
    real.write_bytes(program[:here] + through_fd + program[here + len(TEMPLATES) :])
    real.chmod(0o755)
    shutil.move(unpacked / "usr" / "share" / "prometheus" / "alertmanager", folder / "lib" / "templates")
    wrapper = folder / "alertmanager"
    lib = target / "lib"
    wrapper.write_text(
        "#!/bin/sh\n"
        "# Debian's build reads its templates from a fixed path; this copy reads them from file descriptor 9.\n"
        f"exec 9<{shlex.quote(os.fspath(lib / 'templates'))} || exit 3\n"
        f'exec {shlex.quote(os.fspath(lib / "alertmanager"))} "$@"\n'
    )
    wrapper.chmod(0o755)
