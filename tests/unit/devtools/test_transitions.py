"""The table of a rollout's state machine in docs/canary.md is the table of the code."""

from pathlib import Path

import pytest

from devtools.transitions import BEGIN, PAGE, leads, main, table
from release.canary.machine import TABLE
from release.canary.state import FINAL, AbortAsked, Phase, Promoted, Tick


def test_the_page_has_the_table_of_the_code() -> None:
    """A changed handler or entry must be written anew, by ./dev generate."""
    assert main(["--check"]) == 0


def test_a_page_that_differs_is_refused_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names the page and the command; the command changes nothing outside the table."""
    page = tmp_path / "canary.md"
    text = PAGE.read_text("utf-8")
    row = text.partition(BEGIN)[2].splitlines(keepends=True)[3]
    page.write_text(text.replace(row, ""), "utf-8")
    assert main(["--check"], page) == 1
    assert "canary.md: the table of transitions differs from the code; run ./dev generate" in capsys.readouterr().err
    assert main([], page) == 0
    assert page.read_text("utf-8") == text


def test_every_entry_leads_somewhere() -> None:
    """Each entry was tried in a state in which the event is taken, and a few are known to lead where they must."""
    found = leads()
    assert {key for key in TABLE if not found.get(key)} == set()
    assert found[Phase.SOAK, AbortAsked] == {Phase.ABORTING}
    assert found[Phase.BAKE, Promoted] == {Phase.EVALUATE}
    assert Phase.DONE in found[Phase.SOAK, Tick]
    assert Phase.DONE not in found[Phase.BAKE, Tick]
    assert {phase for phase, _ in found} & FINAL == set()
    assert len(table(found).splitlines()) > len(Phase)
