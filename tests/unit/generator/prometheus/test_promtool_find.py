"""The tools are found in a fixed order; a wrong tool is an error with the reason."""

from pathlib import Path

import pytest

from generator.prometheus import promtool
from generator.prometheus.promtool import ToolError, find
from tests.tools import Generation


def script(folder: Path, version: str, name: str = "promtool") -> Path:
    """A program that answers `--version` as promtool does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{name}, version {version} (branch: x)'\n")
    path.chmod(0o755)
    return path


def test_real_tools_give_their_version(generation: Generation) -> None:
    """Both generations, promtool and amtool."""
    for name, path in (("promtool", generation.promtool), ("amtool", generation.amtool)):
        tool = find(name, environment={}, given=str(path))
        assert tool.path == path.absolute()
        assert tool.version >= promtool.OLDEST[name]
        assert (tool.version[0] >= 3) == (name == "promtool" and generation.label == "current")


def test_the_given_path_wins_over_all(tmp_path: Path) -> None:
    """The option wins, then the variable, PATH, the folders of ./dev, and the cache."""
    places = {
        "given": script(tmp_path / "given", "3.6.0"),
        "variable": script(tmp_path / "variable", "3.5.0"),
        "path": script(tmp_path / "path", "3.4.0"),
        "current": script(tmp_path / "current", "3.3.0"),
        "old": script(tmp_path / "old", "3.2.0"),
        "cache": script(tmp_path / "cache/freezeline/tools/prometheus-3.1.0-x86_64", "3.1.0"),
    }
    environment = {
        "FREEZELINE_PROMTOOL": str(places["variable"]),
        "PATH": str(tmp_path / "path"),
        "FREEZELINE_TOOLS_CURRENT": str(tmp_path / "current"),
        "FREEZELINE_TOOLS_OLD": str(tmp_path / "old"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    given: str | None = str(places["given"])
    for expected, path in places.items():
        assert find("promtool", environment=environment, given=given).path == path
        given = None if expected == "given" else given
        if expected == "variable":
            del environment["FREEZELINE_PROMTOOL"]
        elif expected != "given":
            path.unlink()


@pytest.mark.parametrize(
    "environment,given,message",
    [
        ({"PATH": "/nonexistent"}, None, r"promtool is not on PATH: .*FREEZELINE_PROMTOOL"),
        ({}, "/nonexistent/promtool", r"/nonexistent/promtool is not an executable file \(from --promtool\)"),
        ({"FREEZELINE_PROMTOOL": "/nonexistent"}, None, r"is not an executable file \(from FREEZELINE_PROMTOOL\)"),
        ({}, "/bin/true", r"/bin/true --version does not answer like promtool"),
    ],
)
def test_a_missing_tool_is_named(environment: dict[str, str], given: str | None, message: str) -> None:
    """The error names the tool: no traceback, and no silent skip."""
    with pytest.raises(ToolError, match=message):
        find("promtool", environment=environment, given=given)


def test_a_version_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """The generated rules need 2.40 or newer."""
    path = script(tmp_path, "2.39.1")
    with pytest.raises(ToolError, match=r"has version 2\.39\.1; Freezeline needs 2\.40\.0"):
        find("promtool", environment={}, given=str(path))


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    """After the deadline the process is gone, and the error names the time."""
    path = tmp_path / "promtool"
    path.write_text("#!/bin/sh\nexec sleep 600\n")
    path.chmod(0o755)
    with pytest.raises(ToolError, match=r"did not end within 0\.2 s"):
        promtool.run_process([str(path)], tmp_path, 0.2)


def test_a_tool_that_crashes_is_an_error(tmp_path: Path) -> None:
    """An unknown exit code is no verdict on the files."""
    path = script(tmp_path, "3.0.0")
    tool = find("promtool", environment={}, given=str(path))
    path.write_text("#!/bin/sh\necho boom >&2\nexit 2\n")
    with pytest.raises(ToolError, match=r"ended with exit code 2: boom"):
        tool.check_rules([tmp_path / "x.yml"], tmp_path)
