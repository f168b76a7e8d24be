"""Who may import whom: the order of the wings, no circles, and every module imports alone."""

import json
import re
import subprocess
import sys

import pytest

from tests.frame.sources import PACKAGES, modules
from tests.frame.wings import (
    Import,
    circle_of_files,
    circle_of_places,
    find_imports,
    find_modules,
    foreign,
    not_in_order,
    upward,
)
from tests.tools import ROOT

# One worker, so that the fixture does its work once.
pytestmark = pytest.mark.xdist_group("imports")

# From the ground up: a place imports only the places above it in this list. docs/architecture.md draws the orders.
ORDERS = {
    "generator": (
        # What everything else is written with.
        "units",
        "names",
        "text",
        "promql",
        "reading",
        # Families of which a spec names members.
        "panels",
        "sli",
        "conditions",
        # The way of a spec: values, parsing, checks, artefacts and their proofs.
        "model",
        "spec",
        "checks",
        "checks.live",
        "render",
        "render.rules",
        "render.alertmanager",
        "render.dashboards",
        "render.policy",
        "engines",
        "proofs",
        "pipeline",
        "write",
        # What else is done with a spec that was loaded.
        "existing",
        "prometheus",
        "backtest",
        "imports",
        "reports",
    ),
    "receiver": (
        "plaintext",
        "links",
        "figures",
        "steps",
        "faults",
        "rehearsals",
        "traceparent",
        # What is to be done: the policy as a value, the decisions, and where decisions are kept.
        "policy",
        "decide",
        "rollouts",
        "rollout_report",
        "leading",
        "journal",
        "run",
        "host_report",
        "report",
        "meters",
        "state",
        "context",
        "logs",
        "otlp",
        # How people are told.
        "templates",
        "notify",
        "setting_values",
        "settings",
        # The way of a webhook: into the journal, and from the journal into deeds.
        "webhook",
        "sources",
        "act",
        "loops",
        # What listens, and what starts all of it.
        "http",
        "http.page",
        "logins",
        "placing",
        "web",
        "serve",
    ),
    "release": (
        # What is asked and decided: the policy's members as values.
        "policy",
        # How traffic moves.
        "traffic",
        # What is decided: before a release, and while the release is rolled out.
        "gate",
        "canary",
        "ab",
        # Where rollouts are kept, how people see them, and what runs them.
        "store",
        "show",
        "engine",
        # What is broken on purpose, and measured.
        "drill",
    ),
    "freezeline": (
        "problems",
        "extras",
        "write_ahead",
        "terminal",
        "cli",
        "remote",
        "headers",
        "journal_place",
        "pull_request",
        "toast",
        "demo",
        "demo.rollout",
        "drill",
        "commands",
        "__main__",
    ),
}

# Package, or place of a package → the other packages, or their places, that it may import. The longer key wins.
MAY_IMPORT = {
    "generator": {"freezeline.problems"},
    "receiver": {"freezeline.problems", "freezeline.extras", "freezeline.write_ahead"},
    "release": {"freezeline.problems", "freezeline.extras", "freezeline.write_ahead", "receiver"},
    "freezeline": set[str](),
    "freezeline.journal_place": {"receiver.setting_values"},
    "freezeline.toast": {"receiver.decide", "receiver.plaintext"},
    "freezeline.drill": {"receiver", "release"},
    "freezeline.demo": {"receiver"},
    "freezeline.demo.rollout": {"receiver", "release"},
    "freezeline.commands": {"generator", "receiver", "release"},
}

# Package → packages that it never loads, not even through others.
NEVER = {"generator": {"receiver", "release"}, "receiver": {"generator", "release"}, "release": {"generator"}}

# Modules among the commands that are not commands; commands share them.
SHARED_BY_COMMANDS = {f"freezeline.commands{name}" for name in ("", ".places", ".specs", ".stopping", ".whole")}

# In a fresh interpreter that holds none of our modules, only the big libraries, one forked child per module: alone, and
# much quicker than starting Python for each.
IMPORT_EACH_ALONE = """
import json, os, sys, traceback
import aiohttp.web, jinja2.sandbox, jsonschema, promql_parser, yaml
ours = ("freezeline", "generator", "receiver", "release")
answers = {}
for name in sys.argv[1:]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
            said = json.dumps({"loaded": sorted(m for m in sys.modules if m.partition(".")[0] in ours)})
        except BaseException:
            said = json.dumps({"error": traceback.format_exc()})
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answers[name] = json.load(pipe)
    os.waitpid(child, 0)
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, object]]:
    """For each module the modules of ours that its import alone loaded, or the error that it raised."""
    names = [name for name in modules(*PACKAGES) if not name.endswith("__main__")]
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, *names]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, dict[str, object]] = json.loads(ran.stdout)
    assert sorted(answers) == sorted(names)
    return answers


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Every import of one of our modules by another."""
    return find_imports(ROOT, find_modules(ROOT, PACKAGES))


def loaded(answer: dict[str, object]) -> set[str]:
    """The modules of ours that one import loaded."""
    names = answer.get("loaded", [])
    assert isinstance(names, list)
    return set(names)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_place_is_in_the_order(package: str) -> None:
    """A new folder or top-level module needs a decision about the places that may import it."""
    assert not_in_order(find_modules(ROOT, PACKAGES), package, ORDERS[package]) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_downwards(imports: list[Import], package: str) -> None:
    """No place imports a place that stands above it, inside functions neither."""
    assert upward(imports, package, ORDERS[package]) == []


def test_packages_import_only_what_they_may(imports: list[Import]) -> None:
    """The generator and the receiver share nothing but `freezeline.problems`; the command line holds them together."""
    assert foreign(imports, MAY_IMPORT) == []


def test_no_circle(imports: list[Import]) -> None:
    """Neither files nor places import each other in a ring."""
    assert (circle_of_files(imports), circle_of_places(imports)) == ([], [])


def test_renderers_do_not_import_each_other(imports: list[Import]) -> None:
    """What two renderers need lies below both; so each artefact can be read, and changed, by itself."""
    wrong = [
        str(found)
        for found in imports
        if found.importer.place.startswith("render.") and found.imported.place.startswith("render.")
        if found.importer.place != found.imported.place
    ]
    assert wrong == []


def test_the_imports_are_found(imports: list[Import]) -> None:
    """The tests above see the imports that everybody knows."""
    known = {(found.importer.name, found.imported.name) for found in imports}
    assert {
        ("generator.pipeline", "generator.spec.load"),
        ("generator.checks", "freezeline.problems"),
        ("receiver.serve", "receiver.settings"),
        ("freezeline.commands.serve", "receiver.serve"),
    } <= known


@pytest.mark.timeout(240)
def test_every_module_imports_alone(alone: dict[str, dict[str, object]]) -> None:
    """No module needs another to have been imported before it, and none warns."""
    assert {name: answer["error"] for name, answer in alone.items() if "error" in answer} == {}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("package", NEVER)
def test_the_two_halves_never_load_each_other(alone: dict[str, dict[str, object]], package: str) -> None:
    """Importing one half leaves the other unloaded, whatever lies between them."""
    answers = {name: loaded(answer) for name, answer in alone.items() if name.partition(".")[0] == package}
    assert all(name in names for name, names in answers.items())
    wrong = {
        name: {each for each in names if each.partition(".")[0] in NEVER[package]} for name, names in answers.items()
    }
    assert {name: each for name, each in wrong.items() if each} == {}


@pytest.mark.timeout(240)
def test_commands_are_imported_only_when_called(alone: dict[str, dict[str, object]]) -> None:
    """No module loads a command, and a command loads no other: `freezeline status` does not pay for `generate`."""
    commands = {name for name in alone if name.startswith("freezeline.commands.")} - SHARED_BY_COMMANDS
    assert "freezeline.commands.status" in commands
    wrong = {name: (loaded(answer) & commands) - {name} for name, answer in alone.items()}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_modules_that_are_started_by_name_exist() -> None:
    """`python -m NAME` in our own code names a module of ours: no import would tell that it has moved."""
    known = modules(*PACKAGES)
    started = {
        name: str(path.relative_to(ROOT))
        for path in known.values()
        for name in re.findall(r'"-m", f?"((?:freezeline|generator|receiver)[\w.{}]*)"', path.read_text())
    }
    assert any(name.startswith("receiver.") for name in started)
    assert {name: path for name, path in started.items() if "{" not in name and name not in known} == {}
