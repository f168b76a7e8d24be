"""The runs of promtool: a time limit, promtool's own error messages, and all blocks or none."""

import json
import time
from pathlib import Path

import pytest

from generator.prometheus.backfill import Part, Span, plan
from generator.prometheus.backfill_run import BackfillError, Server, run
from generator.prometheus.promtool import Tool, ToolError, run_process
from tests.unit.generator import specs

BODY = f"slos:\n  one: {{objective: 99.5, {specs.BAD_TOTAL}}}\n"


def parts() -> tuple[Part, ...]:
    """Three runs of two rules each."""
    return plan(specs.loaded(BODY).output_set, {("checkout", "one"): Span(start_s=0, end_s=86_400 * 3)}, 3_600_000 * 18)


SERVER = Server(url="http://x", headers={})


def program(tmp_path: Path, text: str, version: tuple[int, ...] = (3, 0, 0)) -> Tool:
    """A program in place of promtool, with these lines."""
    path = tmp_path / "promtool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Tool(name="promtool", path=path, version=version, run=run_process)


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
    found = run(parts(), tool, SERVER, made, deadline_s=60, progress=lambda *step: heard.append(step))
    assert heard == [(step, 6) for step in range(1, 7)]
    assert found.count == len(list(made.iterdir())) == 3
    assert [path.name for path in made.parent.iterdir()] == ["blocks"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """The error shows promtool's last words, with a hint if blocks were too long."""
    tool = program(tmp_path, "echo 'query processing would load too many samples'; exit 1")
    with pytest.raises(BackfillError, match=r"(?s)ended with exit code 1.*too many samples.*--block 18h"):
        run(parts(), tool, SERVER, tmp_path / "blocks", deadline_s=60, progress=nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["promtool"]


def test_deadline(tmp_path: Path) -> None:
    """A promtool that hangs is ended, and nothing is left behind."""
    tool = program(tmp_path, "exec sleep 600")
    begun = time.monotonic()
    with pytest.raises(BackfillError, match="did not end in time"):
        run(parts(), tool, SERVER, tmp_path / "blocks", deadline_s=0.5, progress=nothing)
    assert time.monotonic() - begun < 30
    assert [path.name for path in tmp_path.iterdir()] == ["promtool"]


def test_no_such_program(tmp_path: Path) -> None:
    """A missing tool is an error of the environment."""
    missing = Tool(name="promtool", path=tmp_path / "none", version=(3, 0, 0), run=run_process)
    with pytest.raises(ToolError, match="does not start"):
        run(parts(), missing, SERVER, tmp_path / "blocks", deadline_s=5, progress=nothing)


def test_headers_stay_out_of_the_command_line(tmp_path: Path) -> None:
    """Promtool reads the headers from a file that is gone afterwards; a header's value is never an argument."""
    script = f"""
for word; do case $word in --http.config.file=*) cp "${{word#--http.config.file=}}" {tmp_path}/http.yml;; esac; done
echo "$@" >> {tmp_path}/arguments
"""
    server = Server(url="http://x", headers={"X-Scope-OrgID": "team-a", "authorization": "Bearer hidden"})
    run(parts(), program(tmp_path, script), server, tmp_path / "blocks", deadline_s=60, progress=nothing)
    assert json.loads((tmp_path / "http.yml").read_text()) == {
        "follow_redirects": False,
        "http_headers": {"X-Scope-OrgID": {"secrets": ["team-a"]}},
        "authorization": {"type": "Bearer", "credentials": "hidden"},
    }
    arguments = (tmp_path / "arguments").read_text()
    assert "--http.config.file=" in arguments
    assert not [secret for secret in ("hidden", "team-a") if secret in arguments]


def test_an_old_promtool_cannot_send_headers(tmp_path: Path) -> None:
    """Promtool 2 would ask without the tenant, so nothing runs."""
    tool = program(tmp_path, "exit 9", version=(2, 42, 0))
    with pytest.raises(BackfillError, match=r"promtool 2\.42\.0 cannot send headers: name promtool 3\.0 or later"):
        run(parts(), tool, Server(url="http://x", headers={"A": "b"}), tmp_path / "b", deadline_s=9, progress=nothing)
