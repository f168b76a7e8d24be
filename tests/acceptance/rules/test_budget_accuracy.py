"""A month of each quick kind, made event by event, against the truth: a sample of `./dev bench budget_accuracy`."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.accuracy_table import FORMS, documents, error, fresh, stored
from benchmarks.budget_accuracy import Row, run
from benchmarks.cases import CASES
from benchmarks.month_rules import fingerprint, rules_of
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
    assert results.keys() == by_name.keys()
    rows = [
        Row(case=by_name[name], truth=0.0, **{form: error(result, form) for form in FORMS})
        for name, by_seed in results.items()
        for result in by_seed.values()
    ]
    assert [(row.case.name, row.ours) for row in rows if not row.holds] == []


def test_every_case_is_measured_with_three_seeds_by_the_present_rules() -> None:
    """`./dev bench budget_accuracy --stale --seed SEED --write` measures again what a change made stale."""
    results = stored()
    assert {case.name: fresh(results, case) for case in CASES} == {case.name: ["0", "1", "2"] for case in CASES}
    assert {name: list(by_seed) for name, by_seed in results.items()} == {c.name: ["0", "1", "2"] for c in CASES}


def test_the_months_are_judged_by_the_rules_of_the_budget_alone() -> None:
    """A change of a page alert makes no result stale; rollups, their repair and the sums belong to the result."""
    made_of = {rule.record for group in rules_of("quiet", CASES[:1]).all() for rule in group.rules}
    assert {"slo:errors:rollup5m", "slo:errors:missing1d", "slo:errors:sum", "slo:error_ratio"} <= made_of
    assert {"", "slo:error_budget_remaining", "slo:info"} & made_of == set()


def test_another_case_has_another_fingerprint() -> None:
    """Traffic, knobs and outages are part of it; the wording of the documentation is not."""
    case = CASES[0]
    others = [
        replace(case, rate=lambda at: (10.0, 0.003 if at else 0.0)),
        replace(case, jitter_s=1.0),
        replace(case, world="outage-10m"),
        replace(case, native=True),
    ]
    assert len({fingerprint(one) for one in (case, *others)}) == 5
    assert fingerprint(replace(case, title="another", allowed=0.5)) == fingerprint(case)
