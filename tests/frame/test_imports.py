"""Who may import whom, and that every module imports alone."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frame.sources import PACKAGES, modules
from tests.tools import ROOT

# One worker, so that the fixture does its work once.
pytestmark = pytest.mark.xdist_group("imports")

# Package → packages that it never imports, not even through others.
NEVER = {"generator": {"receiver"}, "receiver": {"generator"}}

# In a fresh interpreter that holds none of our modules, only the big libraries, one forked child per module: alone, and
# much quicker than starting Python for each.
IMPORT_EACH_ALONE = """
import json, os, sys, traceback
import aiohttp.web, jinja2.sandbox, jsonschema, promql_parser, yaml
failed = {}
for name in sys.argv[1:]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
            said = json.dumps({"loaded": sorted({m.partition(".")[0] for m in sys.modules})})
        except BaseException:
            said = json.dumps({"error": traceback.format_exc()})
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        failed[name] = json.load(pipe)
    os.waitpid(child, 0)
json.dump(failed, sys.stdout)
"""


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, object]]:
    """For each module what its import alone loaded, or the error that it raised."""
    names = [name for name in modules(*PACKAGES) if not name.endswith("__main__")]
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, *names]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, dict[str, object]] = json.loads(ran.stdout)
    assert sorted(answers) == sorted(names)
    return answers


@pytest.mark.timeout(240)
def test_every_module_imports_alone(alone: dict[str, dict[str, object]]) -> None:
    """No module needs another to have been imported before it, and none warns."""
    assert {name: answer["error"] for name, answer in alone.items() if "error" in answer} == {}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("package", NEVER)
def test_the_two_halves_never_load_each_other(alone: dict[str, dict[str, object]], package: str) -> None:
    """Importing one half leaves the other unloaded, whatever lies between them."""
    loaded = {
        name: sorted(NEVER[package] & set(loads))
        for name, answer in alone.items()
        if name.partition(".")[0] == package and isinstance(loads := answer.get("loaded"), list)
    }
    assert {name: wrong for name, wrong in loaded.items() if wrong} == {}


@pytest.mark.parametrize("package", NEVER)
def test_the_two_halves_never_import_each_other(package: str) -> None:
    """Nor do they inside functions, where an import would run only later."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package).values()
        for line, name in imported(path)
        if name.partition(".")[0] in NEVER[package]
    ]
    assert wrong == []


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
