"""The Containerfile's steps, carried out one by one, and the container's process under the container's conditions.

No registry is asked: Debian's Python on this machine stands for the image `python:3.11-slim`.
"""

import subprocess
from pathlib import Path

import pytest

from devtools.deb import PYTHON
from freezeline import __version__
from tests.acceptance.packages import containerfile
from tests.acceptance.packages.containerfile import Image
from tests.acceptance.packages.machine import offline, why_not
from tests.tools import stop
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("packages"),  # one worker, so that wheel and image are built once
    pytest.mark.skipif(not Path(f"/usr/bin/{PYTHON}").exists(), reason=f"needs Debian's {PYTHON}"),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]
START_DEADLINE_S = 30


def test_the_container_serves_read_only_and_without_root(image: Image, tmp_path: Path) -> None:
    """The entry point answers, the health check passes, and the user may write nowhere but into the volumes."""
    assert image.user == "10001:10001"
    with offline(image.machine) as alone:

        def container(*command: str) -> list[str]:
            return alone.sandboxed(image.volumes, "freezeline", *image.variables(), *command)

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(container(*command), capture_output=True, text=True, timeout=60, check=False, cwd="/")

        version = run(*image.entrypoint, "--version")
        assert version.stdout == f"freezeline {__version__}\n", version.stderr
        ill = run(*image.health)
        assert (ill.returncode, "Connection refused" in ill.stderr) == (1, True)
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                container(*image.entrypoint, *image.command), stdout=output, stderr=output, cwd="/"
            )
        try:
            wait_until(lambda: "listening on http://0.0.0.0:9099" in log.read_text(), START_DEADLINE_S, f"{log}")
            well = run(*image.health)
            assert well.returncode == 0, well.stderr
        finally:
            stop(process)
        name = f"/tmp/{tmp_path.parent.name}-{tmp_path.name}"  # a file that exists would be refused for its owner
        assert "Read-only file system" in run("touch", name).stderr


def test_the_image_holds_no_tools_of_the_build(image: Image) -> None:
    """Neither pip, nor the wheel, nor the constraints."""
    packages = image.machine.run("ls", f"/opt/freezeline/lib/{PYTHON}/site-packages").stdout.split()
    assert {"freezeline", "psycopg", "openfeature"} <= set(packages)
    assert [name for name in packages if name.startswith(("pip", "setuptools"))] == []
    image.machine.run("test", "!", "-e", "/src")


def test_the_builder_gets_the_wheel_and_no_other_file() -> None:
    """What COPY names passes .dockerignore; secrets and state of a checkout do not."""
    copied = [rest.split()[:-1] for word, rest in containerfile.instructions(containerfile.TEXT) if word == "COPY"]
    names = [name.replace("*", "1.0-py3-none-any") for line in copied for name in line if not line[0].startswith("--")]
    assert names
    assert [name for name in names if containerfile.ignored(name)] == []
    assert containerfile.ignored("receiver.yaml")
    assert containerfile.ignored(".git/config")
