"""Finding and fetching the Prometheus tools: order, generations, and nothing half done."""

import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from devtools import prometheus_tools
from devtools.golang import PRODUCTS
from devtools.steps import SetupError, locked, made_at_once, run
from tests.tools import ROOT
from tests.waiting import wait_until


def put(folder: Path, name: str, version: str) -> Path:
    """A program that says it is `name` in `version`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{name}, version {version} (branch: x)'\n")
    path.chmod(0o755)
    return path


def origins(environment: dict[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Version and origin of everything found."""
    return {
        key: (".".join(map(str, found.version)), found.origin)
        for key, found in prometheus_tools.find(environment).items()
    }


def test_path_comes_before_the_cache(tmp_path: Path) -> None:
    """What the user installed wins over what ./dev fetched, binary by binary."""
    put(tmp_path / "bin", "promtool", "3.1.0")
    cache = tmp_path / "cache" / "freezeline" / "tools"
    put(cache / "prometheus-3.15.0-x86_64", "promtool", "3.15.0")
    put(cache / "prometheus-3.15.0-x86_64", "prometheus", "3.15.0")
    environment = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert origins(environment) == {
        ("current", "promtool"): ("3.1.0", "PATH"),
        ("current", "prometheus"): ("3.15.0", "cache (prometheus-3.15.0-x86_64)"),
    }


def test_generations_by_version(tmp_path: Path) -> None:
    """Prometheus 2 is old and 3 current; what is older than we support is not used at all."""
    put(tmp_path / "one", "promtool", "2.39.1")
    put(tmp_path / "two", "promtool", "2.42.0")
    put(tmp_path / "three", "promtool", "3.0.0")
    put(tmp_path / "one", "amtool", "0.24.0")
    put(tmp_path / "two", "prometheus-alertmanager", "0.25.0")
    put(tmp_path / "three", "alertmanager", "0.31.1")
    path = ":".join(str(tmp_path / name) for name in ("one", "two", "three"))
    assert origins({"PATH": path, "HOME": str(tmp_path)}) == {
        ("old", "promtool"): ("2.42.0", "PATH"),
        ("current", "promtool"): ("3.0.0", "PATH"),
        ("old", "alertmanager"): ("0.25.0", "PATH"),
        ("current", "alertmanager"): ("0.31.1", "PATH"),
    }


def test_a_program_that_only_shares_the_name_is_left_out(tmp_path: Path) -> None:
    """It neither says a version nor stops the search."""
    (tmp_path / "promtool").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "promtool").chmod(0o755)
    assert origins({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == {}


def test_newest_cached_version_wins(tmp_path: Path) -> None:
    """By number, so that 3.15 beats 3.9."""
    cache = tmp_path / ".cache" / "freezeline" / "tools"
    put(cache / "prometheus-3.9.0-x86_64", "promtool", "3.9.0")
    put(cache / "prometheus-3.15.0-x86_64", "promtool", "3.15.0")
    assert origins({"PATH": "", "HOME": str(tmp_path)})[("current", "promtool")][0] == "3.15.0"


def test_links_follow_what_was_found(tmp_path: Path) -> None:
    """A binary that is gone loses its link; the others stay."""
    promtool = put(tmp_path / "bin", "promtool", "3.1.0")
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    prometheus_tools.link(prometheus_tools.find(environment), tmp_path / "links")
    assert (tmp_path / "links" / "current" / "promtool").readlink() == promtool
    promtool.unlink()
    prometheus_tools.link(prometheus_tools.find(environment), tmp_path / "links")
    assert list((tmp_path / "links" / "current").iterdir()) == []


def test_without_any_way_the_reason_is_named(tmp_path: Path) -> None:
    """No apt-get, no Go: both generations are reported with what would help, and the cache stays empty."""
    environment = os.environ | {"PATH": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    command = [sys.executable, "-m", "devtools.prometheus_tools", "--all", "--links", str(tmp_path / "links")]
    with pytest.raises(SetupError) as failed:
        run(command, cwd=ROOT, deadline_s=60, env=environment)
    said = str(failed.value)
    assert "exit code 3" in said
    assert "apt-get" in said
    assert "install Go" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_pinned_versions_are_the_programs_own() -> None:
    """Prometheus' module version v0.315.0 is Prometheus 3.15.0."""
    assert {name: product.version for name, product in PRODUCTS.items()} == {
        "prometheus": "3.15.0",
        "alertmanager": "0.31.1",
        "sloth": "0.16.0",
        "victoriametrics": "1.151.0",
        "thanos": "0.42.0",
        "cortex": "1.21.1",
        "mimir": "1.3.1-0.20260423142704-aced80d74930",
        "vegeta": "12.13.0",
        "actionlint": "1.7.12",
        "kubeconform": "0.8.0",
        "helm": "3.22.0",
    }


def test_a_folder_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    """Neither the target nor a rest beside it."""

    def fill() -> None:
        with made_at_once(tmp_path / "target") as folder:
            (folder / "half").touch()
            raise SetupError("stop")

    with pytest.raises(SetupError, match="stop"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    """The deadline holds, and the child that it started is gone too."""
    child = tmp_path / "child"
    begun = time.monotonic()
    with pytest.raises(SetupError, match=r"not finished within 0\.5 s"):
        run(["sh", "-c", f"sleep 600 & echo $! >{child}; wait"], deadline_s=0.5)
    assert time.monotonic() - begun < 10
    wait_until(lambda: not Path(f"/proc/{child.read_text().strip()}/cmdline").exists(), 5, "the child is gone")


def hold(lock: Path, held: Path) -> None:
    """Take a lock, say so, and keep it."""
    with locked(lock, deadline_s=5):
        held.touch()
        time.sleep(600)


def test_a_held_lock_is_waited_for_and_freed_by_death(tmp_path: Path) -> None:
    """Two runs at once do the work once; a killed one leaves no lock behind."""
    lock, held = tmp_path / "lock", tmp_path / "held"
    other = multiprocessing.get_context("spawn").Process(target=hold, args=(lock, held))
    other.start()
    try:
        wait_until(held.exists, 20, "the other process holds the lock")
        with pytest.raises(SetupError, match="another run has held"), locked(lock, deadline_s=0.3):
            pass
    finally:
        other.kill()
        other.join(10)
    with locked(lock, deadline_s=5):
        assert other.exitcode is not None
