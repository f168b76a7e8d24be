"""The runs of promtool: a time limit, promtool's own error messages, and all blocks or none."""

import time
from pathlib import Path

import pytest

from generator.prometheus.backfill import Part, Span, plan
from generator.prometheus.backfill_run import BackfillError, run
from generator.prometheus.promtool import ToolError
from tests.unit.generator import specs

BODY = f"slos:\n  one: {{objective: 99.5, {specs.BAD_TOTAL}}}\n"


def parts() -> tuple[Part, ...]:
    """Three runs of two rules each."""
    return plan(specs.loaded(BODY).output_set, {("checkout", "one"): Span(start_s=0, end_s=86_400 * 3)}, 3_600_000 * 18)


def program(tmp_path: Path, text: str) -> Path:
    """A program in place of promtool, with these lines."""
    path = tmp_path / "promtool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def nothing(_done: int, _total: int) -> None:
    """Ignore the progress."""


def test_progress_and_blocks(tmp_path: Path) -> None:
    """Each rule that promtool begins is reported; the folder holds only the blocks."""
    script = """
for word; do case $word in --output-dir=*) out=${word#--output-dir=};; esac; done
echo 'msg="processing rule" id=0' >&2
echo 'msg="processing rule" id=1'
mkdir "$out/block-$$"; echo '{}' > "$out/block-$$/meta.json"
"""
    heard: list[tuple[int, int]] = []
    made = tmp_path / "out" / "blocks"
    tool = program(tmp_path, script)
    found = run(parts(), tool, "http://x", made, deadline_s=60, progress=lambda *step: heard.append(step))
    assert heard == [(step, 6) for step in range(1, 7)]
    assert found.count == len(list(made.iterdir())) == 3
    assert [path.name for path in made.parent.iterdir()] == ["blocks"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """The error shows promtool's last words, with a hint if blocks were too long."""
    tool = program(tmp_path, "echo 'query processing would load too many samples'; exit 1")
    with pytest.raises(BackfillError, match=r"(?s)ended with exit code 1.*too many samples.*--block 18h"):
        run(parts(), tool, "http://x", tmp_path / "blocks", deadline_s=60, progress=nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["promtool"]


def test_deadline(tmp_path: Path) -> None:
    """A promtool that hangs is ended, and nothing is left behind."""
    tool = program(tmp_path, "exec sleep 600")
    begun = time.monotonic()
    with pytest.raises(BackfillError, match="did not end in time"):
        run(parts(), tool, "http://x", tmp_path / "blocks", deadline_s=0.5, progress=nothing)
    assert time.monotonic() - begun < 30
    assert [path.name for path in tmp_path.iterdir()] == ["promtool"]


def test_no_such_program(tmp_path: Path) -> None:
    """A missing tool is an error of the environment."""
    with pytest.raises(ToolError, match="does not start"):
        run(parts(), tmp_path / "none", "http://x", tmp_path / "blocks", deadline_s=5, progress=nothing)
