"""Make `.venv` with the pinned dependencies. Run by the machine's own Python: `python3 -m devtools.environment`.

Debian's Python lacks ensurepip without the package python3-venv, therefore `_pip_for` looks for pip in four ways.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devtools.debian import download, unpack
from devtools.steps import SetupError, locked, run, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "freezeline.stamp"
INPUTS = (ROOT / "pyproject.toml", ROOT / "constraints.txt")

CREATE_DEADLINE_S = 120
INSTALL_DEADLINE_S = 900

BUILD_BACKENDS = ("hatchling", "editables", "setuptools")
# Packages that their authors publish as source alone; each is built by one of the backends above.
SOURCE_ALONE = ("argparse-manpage",)

NO_PIP = (
    "this Python cannot make a virtual environment with pip. "
    "Install one of: python3-venv (Debian, Ubuntu: apt-get install python3-venv), pip, virtualenv"
)


def wanted_stamp() -> str:
    """The checkout's path, and on the next line a digest of the environment's inputs and Python."""
    digest = hashlib.sha256(sys.version.encode())
    for path in INPUTS:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{ROOT}\n{digest.hexdigest()}\n"


def make() -> None:
    """Bring `.venv` up to date. Does nothing if the stamp is current. Raises SetupError."""
    with locked(ROOT / ".cache" / "environment.lock", deadline_s=INSTALL_DEADLINE_S):
        if STAMP.is_file() and STAMP.read_text() == wanted_stamp():
            STAMP.touch()  # ./dev compares the times of stamp and inputs
            return
        STAMP.unlink(missing_ok=True)
        if not _usable():
            say(f"making {VENV} with Python {sys.version.split()[0]}")
            shutil.rmtree(VENV, ignore_errors=True)
            run([sys.executable, "-m", "venv", "--without-pip", VENV], deadline_s=CREATE_DEADLINE_S)
        say("installing the pinned dependencies")
        with _pip_for(VENV / "bin" / "python") as pip:
            _install(pip)
        STAMP.write_text(wanted_stamp())


def _usable() -> bool:
    """Whether `.venv` exists at the path where it was made, and has this Python's version."""
    probe = "import sys; print(sys.prefix, *sys.version_info[:2])"
    try:
        answer = run([VENV / "bin" / "python", "-c", probe], deadline_s=30)
    except SetupError:
        return False
    return answer.split() == [str(VENV), *map(str, sys.version_info[:2])]


def _install(pip: list[str]) -> None:
    env = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PIP_NO_INPUT": "1"}
    pinned = [*pip, "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    # Wheels alone, because pip's cache would hide, on every machine but a new one, that a build needs a backend.
    pinned += ["--only-binary", ":all:", "--no-binary", ",".join(SOURCE_ALONE)]
    # The pinned build backends first: an isolated build would take the newest ones.
    run([*pinned, "pip", *BUILD_BACKENDS], deadline_s=INSTALL_DEADLINE_S, env=env)
    run(
        [*pinned, "--no-build-isolation", "--editable", f"{ROOT}[toast,workload,dev,docs]"],
        deadline_s=INSTALL_DEADLINE_S,
        env=env,
    )
    # Only for the scripts inside: axe.min.js, because the tests drive Chromium themselves, and mermaid.min.js.
    scripts = ["--no-deps", "--ignore-requires-python", "axe-playwright-python", "artoo-mermaid"]
    run([*pinned, *scripts], deadline_s=INSTALL_DEADLINE_S, env=env)


@contextlib.contextmanager
def _pip_for(python: Path) -> Iterator[list[str]]:
    """The first words of a command that runs pip for `python`. Raises SetupError(NO_PIP)."""
    wheels = [*_wheels(Path("/usr")), *_bundled_wheels()]
    if wheels:
        yield [str(python), str(wheels[-1] / "pip")]
        return
    if _has("pip"):
        yield [sys.executable, "-m", "pip", "--python", str(python)]
        return
    if shutil.which("virtualenv") is not None:
        run(["virtualenv", "--quiet", "--python", sys.executable, VENV], deadline_s=CREATE_DEADLINE_S)
        yield [str(python), "-m", "pip"]
        return
    if shutil.which("apt-get") is None:
        raise SetupError(NO_PIP)
    with tempfile.TemporaryDirectory(prefix="freezeline-pip-") as folder:
        try:
            packages = download(["python3-pip-whl"], Path(folder))
            unpack(packages, Path(folder))
        except SetupError as error:
            raise SetupError(f"{NO_PIP}\n{error}") from error
        wheels = _wheels(Path(folder) / "usr")
        if not wheels:
            raise SetupError(NO_PIP)
        yield [str(python), str(wheels[-1] / "pip")]


def _has(module: str) -> bool:
    """Whether a module exists with contents: Debian leaves empty folders behind, which Python would import."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _wheels(usr: Path) -> list[Path]:
    """Debian's pip wheels (package python3-pip-whl). A wheel is a zip file, and pip runs from inside it."""
    return sorted(usr.glob("share/python-wheels/pip-*.whl"))


def _bundled_wheels() -> list[Path]:
    """The pip wheel that comes with Python itself; Debian removes it."""
    if not _has("ensurepip"):
        return []
    import ensurepip  # noqa: PLC0415 - Debian's Python has none

    return sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))


def main() -> int:
    """Make the environment. Exit code 3, with the package to install, if that is impossible."""
    try:
        make()
    except SetupError as error:
        say(str(error))
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
