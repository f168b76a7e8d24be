"""Names in quotes: proofs hold on Prometheus 3, and an older promtool is told why it cannot run them."""

import json
from pathlib import Path

import pytest

from freezeline.cli import main
from generator.prometheus.promtool import find
from generator.proofs import file as proofs
from tests.tools import Generation
from tests.unit.generator import specs

pytestmark = pytest.mark.acceptance

BODY = """slos:
  ratio: {objective: 99, sli: {bad: '{"http.hits","http.code"=~"5.."}', total: '{"http.hits"}'}}
  slow: {objective: 99, sli: {histogram: '{"http.duration"}', below: 1}}
  query: {objective: 99, sli: {bad: 'sum(rate({"a.bad"}[$window]))', total: 'sum(rate({"a.all"}[$window]))'}}
alerts:
  Queue: {when: '{"queue.length"} > 5', severity: warning}
"""


def test_proofs_of_names_in_quotes(generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prometheus 3 proves every alert; with an older promtool, each alert says what is missing."""
    path = tmp_path / "checkout.yaml"
    path.write_text(specs.HEAD + BODY, encoding="utf-8")
    code = main(["verify", "--json", "--promtool", str(generation.promtool), str(path)])
    rows = json.loads(capsys.readouterr().out)["alerts"]
    assert (code, len(rows)) == (0, 22)
    assert [row["failures"] for row in rows if row["failures"]] == []
    newer = find("promtool", environment={}, given=str(generation.promtool)).version >= proofs.NEWER_SINCE
    wanted = "names in quotes need promtool 3"
    assert all((wanted in row["not_proven"]) != newer for row in rows)
