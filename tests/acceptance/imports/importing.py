"""Imports a file of another tool as the command line does, and asks promtool about the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from freezeline.cli import main
from freezeline.problems import Problems
from generator import pipeline
from generator.imports import IMPORTERS, assemble
from generator.imports.base import Found, Options
from generator.prometheus import promtool
from generator.prometheus.promtool import Tool
from tests.tools import Generation

PROOFS_DEADLINE_S = 3600.0


class Example(Struct, frozen=True, kw_only=True):
    """A file, and the tool that it belongs to."""

    tool: str
    path: Path


def said(example: Example) -> tuple[str, ...]:
    """What the import makes of an example, without any option: every error, or else every SLO."""
    found = Found(problems=Problems(), options=Options())
    path = example.path
    outcome = assemble.run(IMPORTERS[example.tool], [(path.name, path.read_bytes())], found)
    errors = [f"{one.position.line}:{one.position.column} {one.code}: {one.message}" for one in found.problems.errors]
    if errors:
        return tuple(errors)
    loaded = pipeline.load_set(list(outcome.specs.items()), "imported")
    assert loaded.problems.errors == []
    rows = []
    for spec in loaded.output_set.specs:
        for slo in spec.slos:
            by = f" by {', '.join(slo.group_by)}" if slo.group_by else ""
            kind = f"{slo.sli.KIND}{by}, {slo.objective} % over {slo.profile.window}"
            rows.append(f"{spec.service} {slo.name}: {kind} ({spec.owner.team})")
    return tuple(rows)


def generate(examples: Sequence[Example], folder: Path) -> list[Path]:
    """Import the examples and generate all their files, each example in a folder of its own."""
    folders = []
    for number, example in enumerate(examples):
        specs, made = folder / f"{number}" / "specs", folder / f"{number}" / "generated"
        assert main(["import", example.tool, str(example.path), "-o", str(specs)]) == 0
        assert main(["generate", str(specs), "--scope", "examples", "-o", str(made)]) == 0
        folders.append(made)
    return folders


def check(examples: Sequence[Example], generation: Generation, folder: Path) -> None:
    """Let `promtool check rules` look at all rules of the examples."""
    files = [path for made in generate(examples, folder) for path in (made / "rules").glob("*.rules.yml")]
    assert len(files) > len(examples)
    outcome = _tool(generation).check_rules(files, folder)
    assert outcome.ok, outcome.output


def prove(examples: Sequence[Example], generation: Generation, folder: Path) -> None:
    """Let promtool run the proofs of the examples."""
    tests = [path for made in generate(examples, folder) for path in (made / "rules" / "tests").glob("*.test.yml")]
    assert len(tests) >= len(examples)
    outcome = _tool(generation).test_rules(tests, folder, PROOFS_DEADLINE_S)
    assert outcome.ok, outcome.output


def _tool(generation: Generation) -> Tool:
    return promtool.find("promtool", environment={}, given=str(generation.promtool))
