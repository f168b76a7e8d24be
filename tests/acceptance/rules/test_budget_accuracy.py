"""A month of each quick kind, made event by event, against the truth: a sample of `./dev bench budget_accuracy`."""

from pathlib import Path

import pytest

from benchmarks.accuracy_table import documents, stored
from benchmarks.budget_accuracy import Row, run
from benchmarks.cases import CASES
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

QUICK = ("one-an-hour", "good-born", "errors-relabelled", "vanishes", "day-after-26h")
SEED = 3  # not among those of the documentation


@pytest.mark.parametrize("generation", ["current"], indirect=True)
def test_the_budget_is_right_in_months_that_people_have(generation: Generation, tmp_path: Path) -> None:
    """Rare events, births, changed labels, idle series and a long outage leave the 30-day ratio within its bound."""
    cases = [case for case in CASES if case.name in QUICK]
    rows = run(generation, cases, tmp_path / "prometheus", print, SEED)
    assert {row.case.name for row in rows} == set(QUICK)
    assert [(row.case.name, row.ours) for row in rows if not row.holds] == []


def test_documentation_shows_the_stored_results() -> None:
    """After a change by hand, `./dev bench budget_accuracy --write` would write another table."""
    shown = {path.name: path.read_text(encoding="utf-8") == text for path, text in documents(stored())}
    assert shown == {"rules.md": True, "README.md": True}


def test_every_stored_result_is_within_its_bound() -> None:
    """What the documentation promises holds in each month that was measured."""
    results = stored()
    by_name = {case.name: case for case in CASES}
    assert results.keys() <= by_name.keys()
    assert len(results) > len(by_name) // 2
    rows = [
        Row(
            case=by_name[name],
            truth=0.0,
            **{form: float("nan") if value is None else value for form, value in errors.items()},
        )
        for name, by_seed in results.items()
        for errors in by_seed.values()
    ]
    assert [(row.case.name, row.ours) for row in rows if not row.holds] == []
