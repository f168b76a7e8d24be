"""Builds Debian's package: `build(wheel, folder)`.

`/opt/freezeline` is a virtual environment of pinned wheels, without pip. The package therefore installs without
a network. Compiled wheels belong to one version of Python: the package depends on the version that built it.
"""

import gzip
import shutil
import sys
import tempfile
from pathlib import Path

from devtools.steps import run

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"python{VERSION}"
HOME = Path("opt/freezeline")
EXTRAS = "flags,postgres"  # as in packaging/container/Containerfile
INSTALL_DEADLINE_S = 300
BUILD_DEADLINE_S = 120

# Where a file of packaging/ or of the wheel's share/ goes, with its mode.
PLACES: tuple[tuple[Path, str, int], ...] = (
    (PACKAGING / "systemd/freezeline-receiver.service", "usr/lib/systemd/system/freezeline-receiver.service", 0o644),
    (PACKAGING / "systemd/freezeline.sysusers.conf", "usr/lib/sysusers.d/freezeline.conf", 0o644),
    (PACKAGING / "systemd/freezeline.tmpfiles.conf", "usr/lib/tmpfiles.d/freezeline.conf", 0o644),
    (PACKAGING / "debian/receiver.yaml", "etc/freezeline/receiver.yaml", 0o644),
    (PACKAGING / "debian/freezeline-receiver.default", "etc/default/freezeline-receiver", 0o644),
    (PACKAGING / "debian/copyright", "usr/share/doc/freezeline/copyright", 0o644),
    (ROOT / "freezeline/shell/freezeline.bash", "usr/share/bash-completion/completions/freezeline", 0o644),
    (ROOT / "freezeline/shell/freezeline.zsh", "usr/share/zsh/vendor-completions/_freezeline", 0o644),
    (ROOT / "freezeline/shell/freezeline.fish", "usr/share/fish/vendor_completions.d/freezeline.fish", 0o644),
    (PACKAGING / "debian/conffiles", "DEBIAN/conffiles", 0o644),
    (PACKAGING / "debian/postinst", "DEBIAN/postinst", 0o755),
    (PACKAGING / "debian/prerm", "DEBIAN/prerm", 0o755),
    (PACKAGING / "debian/postrm", "DEBIAN/postrm", 0o755),
)
PRESSED = (
    (ROOT / "freezeline/shell/freezeline.1", "usr/share/man/man1/freezeline.1.gz"),
    (ROOT / "CHANGELOG.md", "usr/share/doc/freezeline/changelog.gz"),
)
# The launcher starts Python isolated: no variable and no folder of the user can change what is imported.
LAUNCHER = f"""\
#!/{HOME}/bin/python3 -I
import sys
from freezeline.cli import command
sys.exit(command())
"""


def build(wheel: Path, folder: Path) -> Path:
    """Build the package of a wheel into `folder`, and return the file. Raises SetupError."""
    version = wheel.name.split("-")[1]
    with tempfile.TemporaryDirectory(prefix="freezeline-deb-") as scratch:
        root = Path(scratch) / "root"
        root.mkdir(mode=0o755)
        _environment(wheel, root)
        _files(root)
        architecture = run(["dpkg", "--print-architecture"], deadline_s=20).strip()
        _control(root, version, architecture)
        file = folder / f"freezeline_{version}_{architecture}.deb"
        # Everything belongs to root, whoever builds.
        run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", root, file],
            deadline_s=BUILD_DEADLINE_S,
        )
    return file


def _environment(wheel: Path, root: Path) -> None:
    """The virtual environment with the wheel and everything that the wheel needs."""
    home = root / HOME
    packages = home / "lib" / PYTHON / "site-packages"
    pinned = ("--only-binary", ":all:", "--constraints", ROOT / "constraints.txt")
    uv: tuple[str | Path, ...] = (Path(sys.executable).with_name("uv"), "pip", "install", "--quiet")
    where = ("--python", sys.executable, "--link-mode", "copy", "--target", packages)
    run([*uv, *where, *pinned, f"freezeline[{EXTRAS}] @ {wheel.absolute().as_uri()}"], deadline_s=INSTALL_DEADLINE_S)
    shutil.rmtree(packages / "bin")  # programs with the builder's Python in their first line
    shutil.rmtree(packages / "share")  # these files lie in usr/share
    (packages / ".lock").unlink(missing_ok=True)  # uv's own
    # Nobody can write compiled files into /opt at run time, and nobody changes a source there.
    options = ("-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash")
    run([sys.executable, "-m", "compileall", *options, packages], deadline_s=BUILD_DEADLINE_S)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(f"/usr/bin/{PYTHON}")
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {VERSION}\n")
    launcher = home / "bin" / "freezeline"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


def _files(root: Path) -> None:
    for source, place, mode in PLACES:
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)
    for source, place in PRESSED:
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(source.read_bytes(), mtime=0))
    (root / "etc/freezeline/policy").mkdir()
    (root / "usr/bin").mkdir()
    (root / "usr/bin/freezeline").symlink_to(f"/{HOME}/bin/freezeline")
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _control(root: Path, version: str, architecture: str) -> None:
    size_kib = sum(path.lstat().st_size for path in root.rglob("*")) // 1024
    text = (PACKAGING / "debian" / "control").read_text()
    filled = text.format(version=version, architecture=architecture, size=size_kib, python=PYTHON)
    (root / "DEBIAN" / "control").write_text(filled)
    (root / "DEBIAN" / "control").chmod(0o644)
