"""The output of the canary demo, which the docs show."""

import re

import pytest

from freezeline.demo.rollout import show
from freezeline.demo.rollout.acts import OPENING
from tests.tools import ROOT
from tests.unit.freezeline.demo.rollout.records import ERRS, WHY, record

ACTS = (OPENING, ERRS)


def test_the_docs_show_the_real_output() -> None:
    """The block in docs/demo.md is what the demo prints of a good release and of one that errs."""
    made = record()
    printed = [*show.table(ACTS, made)[1:], "", *show.verdict_lines(ACTS, made, {"v2": (), "v3": ()})]
    block = (ROOT / "docs" / "demo.md").read_text().partition("```text\n")[2].partition("```")[0]
    assert block.splitlines() == printed


def test_the_readme_shows_lines_of_the_real_output() -> None:
    """The README leaves lines out, and changes none."""
    block = (ROOT / "README.md").read_text().partition(f"```text\n{show.heading(ERRS)}\n")[2].partition("```")[0]
    printed = show.table((ERRS,), record())
    assert len(block.splitlines()) > 5
    assert [one for one in printed if one in block.splitlines()] == block.splitlines()


def test_a_terminal_gets_colour() -> None:
    """Without the marks of the styles, the lines are those of a pipe."""

    def marked(style: str, text: str) -> str:
        return f"<{style}>{text}</>"

    plain, painted = (show.table(ACTS, record(), paint) for paint in (lambda _, text: text, marked))
    assert [re.sub("<[^>]*>", "", one) for one in painted] == plain
    assert f"<bold red>the engine takes v3 back: {WHY}</>" in "\n".join(painted)
    assert "<bold>v3, which fails every fourth request</>" in painted
    good = show.verdict_lines(ACTS, record(), {"v2": (), "v3": ()}, marked)
    bad = show.verdict_lines(ACTS, record(), {"v2": (), "v3": ("late",)}, marked)
    assert (good[-1][:12], bad[-2:][0], bad[-1][:10]) == ("<bold green>", "<red>  WRONG: late</>", "<bold red>")


def test_what_went_wrong_is_said() -> None:
    """Below the release, and in the last line."""
    lines = show.verdict_lines(ACTS, record(), {"v2": (), "v3": ("seen 0 times, not 1: frozen",)})
    assert "  WRONG: seen 0 times, not 1: frozen" in lines
    assert lines[-1].startswith("BAD: ")


@pytest.mark.parametrize("seconds,text", [(0, "  0:00.0"), (9.96, "  0:10.0"), (75.04, "  1:15.0"), (-0.3, "  0:00.0")])
def test_moments(seconds: float, text: str) -> None:
    """Minutes and seconds; rounding never gives sixty seconds."""
    assert show.moment(seconds) == text
    assert show.moment(59.97) == "  1:00.0"


def test_the_outcome_for_programs() -> None:
    """Everything that people read, as values."""
    found = show.as_json(ACTS, record(), {"v2": (), "v3": ()}, {"shop": "http://127.0.0.1:1/order"})
    assert (found["ok"], [one["release"] for one in found["releases"]]) == (True, ["v2", "v3"])
    assert found["releases"][1]["outcome"]["rollback_starts"] == 1
    assert found["releases"][1]["steps"][0] == {"step": "begin", "at": 34.9, "since_begin_s": 34.9, "detail": ""}
