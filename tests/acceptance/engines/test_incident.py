"""One incident in Prometheus and in every other engine at once: the same budgets and the same alerts."""

from pathlib import Path

import pytest

from benchmarks.engines import agrees, rows_of, table
from tests.engines import story
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(2400)]


@pytest.mark.parametrize("generation", ["current"], indirect=True)
def test_every_engine_sees_the_same_incident(generation: Generation, tmp_path: Path) -> None:
    """Ratios over 30 days within 0.1 % of the truth and of each other; alerts no further apart than evaluations."""
    seen = story.tell(generation, tmp_path, story.ENGINES)
    rows = rows_of(seen)
    print("\n".join(table(rows)))
    assert [row.engine for row in rows] == ["prometheus", *story.ENGINES]
    assert {each.engine: each.broken for each in seen if each.broken} == {}
    assert [row for row in rows if not agrees(row)] == []
