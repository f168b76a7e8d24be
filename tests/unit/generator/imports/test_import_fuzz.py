"""Any foreign file gives problems with positions, never a traceback."""

import random
import re

import pytest

from freezeline.problems import Problems
from generator.imports import IMPORTERS, assemble
from generator.imports.base import Found, Options
from tests.tools import ROOT

DATA = ROOT / "tests" / "data" / "imports"
FILES = {path.name: path.name.partition("-")[0] for path in sorted(DATA.iterdir())}
ROUNDS = 60
SPLINTERS = (
    "{}",
    "[]",
    "null",
    "~",
    "-1",
    "99.9.9",
    "''",
    "{{.x}}",
    "sum(",
    "[a, b]",
    "{a: b}",
    "1e400",
    "&a *a",
    "\t",
)


def mutated(text: str, source: random.Random) -> str:
    """The text with some values replaced, and some lines removed or indented."""
    lines = text.split("\n")
    for _ in range(source.randint(1, 4)):
        index = source.randrange(len(lines))
        match source.randrange(4):
            case 0:
                lines[index] = re.sub(r":.*", f": {source.choice(SPLINTERS)}", lines[index])
            case 1:
                del lines[index]
                lines = lines or [""]
            case 2:
                lines[index] = "  " + lines[index]
            case _:
                place = source.randrange(len(lines[index]) + 1)
                lines[index] = lines[index][:place] + source.choice(SPLINTERS) + lines[index][place:]
    return "\n".join(lines)


@pytest.mark.parametrize("name", FILES)
def test_broken_files_give_problems(name: str) -> None:
    """Each mutation is imported, or reported at a position in its file."""
    text = (DATA / name).read_text()
    for seed in range(ROUNDS):
        broken = mutated(text, random.Random(seed))
        found = Found(problems=Problems(), options=Options())
        outcome = assemble.run(IMPORTERS[FILES[name]], [("foreign.yaml", broken.encode())], found)
        for problem in found.problems:
            assert problem.position.file == "foreign.yaml", (seed, problem)
            assert problem.hint, (seed, problem)
        assert outcome.specs or found.problems.errors, seed


@pytest.mark.parametrize("tool", IMPORTERS)
@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "a", "[]", "- 1\n- 2\n", "---\n---\n", "a: [\n", "\x00", "x: &a [*a]\n"]
)
def test_no_spec_at_all(tool: str, text: str) -> None:
    """A file of another kind never becomes a spec."""
    found = Found(problems=Problems(), options=Options())
    outcome = assemble.run(IMPORTERS[tool], [("foreign.yaml", text.encode())], found)
    assert outcome.specs == {}
    assert not outcome.slos
