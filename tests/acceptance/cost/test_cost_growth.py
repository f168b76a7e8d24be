"""How the shared rules' cost grows with the number of SLOs, in a real Prometheus with 30 days of history."""

from pathlib import Path

import pytest

from benchmarks.rule_cost import rendered, run
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(3600)]

FEW = 200


@pytest.mark.parametrize("generation", ["current"], indirect=True)
@pytest.mark.parametrize("many", [2_000, 10_000])
def test_cost_per_slo_does_not_grow(many: int, generation: Generation, tmp_path: Path) -> None:
    """Fifty times the SLOs read as many samples each, and every group is done long before it is due again."""
    few_costs, _ = run(generation, FEW, tmp_path / "few", rivals=False)
    costs, groups_s = run(generation, many, tmp_path / "many", rivals=False)
    print(f"{many} SLOs: {costs['shared']}; {FEW}: {few_costs['shared']}; seconds of a group: {groups_s}")
    assert costs["shared"].samples == pytest.approx(few_costs["shared"].samples, rel=0.01)
    intervals_s = {group.name: group.interval_ms / 1000 for group in rendered(1)[1]}
    assert {name for name, taken_s in groups_s.items() if taken_s > intervals_s[name] / 2} == set()
