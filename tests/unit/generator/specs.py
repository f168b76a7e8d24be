"""Specs for tests: the committed specs and those of the scripts, as (name, bytes)."""

from pathlib import Path

from freezeline.problems import Problems
from generator.model.spec import Spec
from generator.pipeline import Loaded, load_set
from tests.scripts import script
from tests.tools import ROOT

SCRIPTS = ROOT / "tests" / "scripts"
HEAD = """apiVersion: freezeline/v1
service: checkout
owner: {team: payments, slack: "#payments"}
"""
BAD_TOTAL = "sli: {bad: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}"


def committed() -> list[tuple[str, bytes]]:
    """Every spec of slos/ and of the examples."""
    paths = sorted([*(ROOT / "slos").glob("*.yaml"), *(ROOT / "examples").glob("*/slo*.yaml")])
    return [(path.name, path.read_bytes()) for path in paths]


def of_scripts(prefix: str) -> list[tuple[str, bytes]]:
    """The spec files in the scripts of this prefix."""
    return [
        (f"{path.stem}/{name}", data)
        for path in sorted(SCRIPTS.glob(f"{prefix}*.txt"))
        for name, data in script.read(path.read_text(encoding="utf-8")).inputs
        if name.endswith((".yaml", ".yml"))
    ]


def good() -> list[tuple[str, bytes]]:
    """Specs without an error."""
    return [*committed(), *of_scripts("good-"), *of_scripts("warning-")]


def loaded(body: str, head: str = HEAD) -> Loaded:
    """A set of one spec."""
    return load_set([("checkout.yaml", (head + body).encode())], "slos")


def spec(body: str, head: str = HEAD) -> Spec:
    """A spec that must be free of errors."""
    found = loaded(body, head)
    assert found.problems.errors == []
    return found.output_set.specs[0]


def codes(body: str, head: str = HEAD) -> list[str]:
    """The codes of a spec's problems, in the order of places."""
    return [problem.code for problem in loaded(body, head).problems]


def slo(text: str, name: str = "availability") -> str:
    """A section `slos` of one SLO, from its lines."""
    return f"slos:\n  {name}:\n" + "".join(f"    {line}\n" for line in text.splitlines())


def nothing() -> Problems:
    """An empty collector."""
    return Problems()


def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path
