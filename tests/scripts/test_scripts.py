"""The command line by examples: every tests/scripts/*.txt, in this process; some as real processes too.

`pytest tests/scripts --update-scripts` rewrites what they expect.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freezeline.cli import COMMANDS, main
from tests.scripts import script
from tests.tools import ROOT

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
AS_PROCESS = ("broken-six-mistakes", "broken-random-bytes", "generate-check-differs", "usage-unknown-command")
PROCESS_DEADLINE_S = 60
PROGRAM = "import sys; from freezeline.cli import main; sys.exit(main())"


@pytest.mark.parametrize("name", NAMES)
def test_script(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The commands print and exit as the script says, and leave no other files behind."""
    path = FOLDER / f"{name}.txt"
    case = script.read(path.read_text(encoding="utf-8"))
    outcome = script.play(case, tmp_path)
    if request.config.getoption("--update-scripts", default=False):
        path.write_text(case.text(outcome), encoding="utf-8")
        return
    assert {part: case.expected(part) for part in script.EXPECTED} == outcome


@pytest.mark.parametrize("name", AS_PROCESS)
def test_script_as_process(name: str, tmp_path: Path) -> None:
    """The installed program prints the same as the function that the other tests call."""
    case = script.read((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))
    *first, last = case.commands
    script.play(script.Script(head="", commands=tuple(first), sections=case.sections), tmp_path)
    argv = [sys.executable, "-c", PROGRAM, *last.split()[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, timeout=PROCESS_DEADLINE_S, check=False
    )
    found = {"stdout": done.stdout.decode(), "stderr": done.stderr.decode(), "exit": f"{done.returncode}\n"}
    assert {part: case.expected(part) for part in found} == found


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("broken-")])
def test_broken_script_is_refused_with_place_code_and_hint(name: str) -> None:
    """Any broken spec gives exit code 1 and no file, and every problem has a position, a code and a hint."""
    case = script.read((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))
    problems = [line for line in case.expected("stderr").splitlines() if "]" in line and ": error: " in line]
    assert case.expected("exit") == "1\n"
    assert case.expected("new files") == ""
    assert problems
    for problem in problems:
        place, _, rest = problem.partition(": error: ")
        assert all(part.isdigit() for part in place.split(":")[1:3]), problem
        assert rest.endswith("]"), problem
    assert case.expected("stderr").count("    hint: ") >= len(problems)


@pytest.mark.parametrize("words, code", [([], 2), (["--help"], 0), (["-h"], 0), (["help"], 0)])
def test_the_help_page_names_every_command(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With --help the help page and exit code 0; without any command, exit code 2."""
    assert main(words) == code
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in out] == []


def test_there_are_sixty_broken_specs() -> None:
    """At least sixty broken inputs are tested."""
    assert len([name for name in NAMES if name.startswith("broken-")]) >= 60
