"""./dev and the README name the same commands."""

import re
import subprocess

from tests.tools import ROOT


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ./dev from another folder than its own."""
    return subprocess.run([ROOT / "dev", *arguments], cwd="/", capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_command() -> None:
    """Each command that ./dev knows stands in its help, and the other way round."""
    known = set(re.findall(r"^([a-z]+)(?: \|.*)?\)$", (ROOT / "dev").read_text(), re.MULTILINE))
    listed = set(re.findall(r"^  ([a-z]+)\b", dev("help").stdout, re.MULTILINE))
    assert listed == known


def test_unknown_command() -> None:
    """Wrong usage is exit 2 with the help, on stderr."""
    ran = dev("bake")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "unknown command: bake" in ran.stderr


def test_no_command() -> None:
    """The help, and exit 2."""
    ran = dev()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "./dev COMMAND" in ran.stderr


def test_run_keeps_folder_arguments_and_exit_code() -> None:
    """`./dev run` is freezeline, where the user stands."""
    assert dev("run", "no-such-command").returncode == 2
    assert dev("run", "--help").stdout.startswith("usage: freezeline")


def test_unknown_benchmark() -> None:
    """A misspelt name is exit 2, not an empty success."""
    ran = dev("bench", "no-such-benchmark")
    assert ran.returncode == 2
    assert "no benchmark" in ran.stderr


def test_ci_runs_the_readmes_test_command() -> None:
    """CI runs the command that the README gives."""
    assert "\n./dev test " in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("./dev test")
