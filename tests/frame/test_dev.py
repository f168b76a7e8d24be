"""./dev and the README name the same commands."""

import re
import subprocess
import sys

from devtools.environment import BUILD_BACKENDS, SOURCE_ALONE
from tests.tools import ROOT


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ./dev from another folder than its own."""
    return subprocess.run([ROOT / "dev", *arguments], cwd="/", capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_command() -> None:
    """Each command that ./dev knows stands in its help, and the other way round."""
    known = set(re.findall(r"^([a-z]+)(?: \|.*)?\)$", (ROOT / "dev").read_text(), re.MULTILINE))
    listed = set(re.findall(r"^  ([a-z]+)\b", dev("help").stdout, re.MULTILINE))
    assert listed == known


def test_ci_prints_each_step_of_a_whole_test_run() -> None:
    """What `./dev ci` prints is what `./dev test` calls, down to the options of pytest; and it runs nothing."""
    body = re.search(r"^test_all\(\) \{\n(.*?)^\}", (ROOT / "dev").read_text(), re.MULTILINE | re.DOTALL)
    assert body
    called = set(re.findall(r"\b(tools|programs|postgresql|browser|lint|generated_files|run_tests)\b(?! *=)", body[1]))
    printed = dev("ci").stdout
    listed = set(re.findall(r"^  ([a-z_]+)  ", printed, re.MULTILINE))
    assert listed == called | {"environment"}
    options = re.search(r"run_tests (-.*?) \|\|", body[1])
    assert options
    assert f"python -m pytest {options[1]}\n" in printed


def test_what_builds_packages_is_pinned() -> None:
    """Each build backend, and each package that is built here, has an exact version."""
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert pinned >= {*BUILD_BACKENDS, *SOURCE_ALONE}


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


def test_options_go_to_the_benchmark() -> None:
    """`./dev bench NAME --help` is the help of that benchmark."""
    ran = dev("bench", "budget_accuracy", "--help")
    assert ran.returncode == 0
    assert "--seed SEED" in ran.stdout


def test_ci_runs_the_readmes_test_command() -> None:
    """CI runs the command that the README gives."""
    assert "\n./dev test " in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("./dev test")


def test_only_known_programs_are_fetched() -> None:
    """A wrong name is exit 2, and the message lists the right ones."""
    argv = [sys.executable, "-m", "devtools.programs", "varnish"]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no such program: varnish; use haproxy, nginx or redis" in ran.stderr


def test_only_known_packages_are_built() -> None:
    """A wrong kind is exit 2, and the message lists the right ones."""
    ran = dev("package", "rpm")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no such package: rpm; use wheel or deb" in ran.stderr
