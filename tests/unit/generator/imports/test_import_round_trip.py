"""Files of Sloth, Pyrra and OpenSLO become specs that pass every check, also promtool's."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from freezeline.cli import main
from freezeline.problems import Problems
from generator import pipeline
from generator.imports import IMPORTERS, assemble
from generator.imports.assemble import Outcome
from generator.imports.base import Found, Options
from generator.model.spec import Slo
from tests.tools import ROOT, Generation

DATA = ROOT / "tests" / "data" / "imports"
FILES = {
    "sloth-checkout.yml": "sloth",
    "sloth-wifi-k8s.yml": "sloth",
    "pyrra-gateway.yaml": "pyrra",
    "openslo-shop.yaml": "openslo",
}


def imported(tool: str, text: str | bytes, **options: Any) -> tuple[Outcome, Found]:
    """The outcome of one file."""
    found = Found(problems=Problems(), options=replace(Options(), **options))
    data = text if isinstance(text, bytes) else text.encode()
    return assemble.run(IMPORTERS[tool], [("foreign.yaml", data)], found), found


def slos(name: str) -> dict[str, Slo]:
    """The SLOs of a data file as the generator reads them, by name."""
    outcome, found = imported(FILES[name], (DATA / name).read_bytes())
    assert found.problems.errors == []
    loaded = pipeline.load_set(list(outcome.specs.items()), "imported")
    assert loaded.problems.errors == []
    return {slo.name: slo for spec in loaded.output_set.specs for slo in spec.slos}


def test_every_data_file_is_tried() -> None:
    """Every data file is used by a test."""
    assert sorted(path.name for path in DATA.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_round_trip(name: str, generation: Generation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Imported specs validate, and promtool agrees with their rules."""
    assert main(["import", FILES[name], str(DATA / name), "-o", str(tmp_path)]) == 0
    assert main(["validate", str(tmp_path), "--promtool", str(generation.promtool)]) == 0
    assert "agrees" in capsys.readouterr().out


def test_sloth_events_become_counters() -> None:
    """Plain `sum(rate(…))` queries, differences of buckets, increases and ratios all end as selectors."""
    found = {name: slo.sli.describe() for name, slo in slos("sloth-checkout.yml").items()}
    assert found == {
        "requests-availability": 'bad: http_requests_total{job="checkout",code=~"(5..|429)"} '
        'of total: http_requests_total{job="checkout"}',
        "requests-latency": 'histogram http_request_duration_seconds{job="checkout",path!="/stream"}: bad above 0.4',
        "orders-paid": 'bad: orders_total{state="failed"} of total: orders_total',
        "search-errors": 'good: search_total{outcome="found"} of total: search_total',
    }


def test_sloth_alerts_become_tiers() -> None:
    """A disabled alert removes its tiers; severities that Freezeline knows are kept."""
    found = {
        name: {tier.name: tier.severity for tier in slo.profile.tiers}
        for name, slo in slos("sloth-checkout.yml").items()
    }
    assert found == {
        "requests-availability": {
            "fast": "critical",
            "medium": "critical",
            "slow": "warning",
            "trickle": "warning",
        },
        "requests-latency": {"slow": "warning", "trickle": "warning"},
        "orders-paid": {},
        "search-errors": {"fast": "critical", "medium": "critical", "slow": "info", "trickle": "info"},
    }


def test_sloth_groups_are_kept() -> None:
    """`sum by (region)` on both sides becomes `group_by`."""
    assert slos("sloth-checkout.yml")["orders-paid"].group_by == ("region",)


def test_sloth_counts_that_are_no_rates_keep_their_ratio() -> None:
    """Counts that are not per second stay a ratio, with the total as weight and without `min_events`."""
    slo = slos("sloth-wifi-k8s.yml")["clients-content"]
    assert slo.sli.describe() == (
        "error ratio (sum_over_time((count(wifi_client_satisfaction_ratio < 0.75))[$window:]))"
        " / (sum_over_time((count(wifi_client_satisfaction_ratio))[$window:])),"
        " weighted by sum_over_time((count(wifi_client_satisfaction_ratio))[$window:])"
    )
    assert slo.profile.min_events == 0


def test_pyrra_indicators() -> None:
    """Ratio, latency, native latency and boolean gauge, with their windows and groups."""
    found = {
        name: (slo.sli.KIND, slo.group_by, str(slo.profile.window)) for name, slo in slos("pyrra-gateway.yaml").items()
    }
    assert found == {
        "gateway-errors": ("bad/total", ("route",), "28d"),
        "gateway-latency": ("histogram", (), "14d"),
        "gateway-latency-native": ("histogram", (), "28d"),
        "gateway-probe": ("error_ratio", ("instance",), "28d"),
    }


def test_openslo_indicators() -> None:
    """Occurrences and slices; several objectives make several SLOs; calendar windows in UTC."""
    found = {
        name: (slo.sli.KIND, str(slo.profile.window), slo.objective) for name, slo in slos("openslo-shop.yaml").items()
    }
    assert {name: (kind, window, str(objective)) for name, (kind, window, objective) in found.items()} == {
        "main-page": ("good/total", "calendar-month", "99"),
        "response-time-1": ("histogram", "28d", "95"),
        "response-time-2": ("histogram", "28d", "99.5"),
        "stock-age": ("time slices", "28d", "99"),
        "checkout-minutes": ("time slices", "28d", "99"),
        "queue-depth": ("time slices", "28d", "99.5"),
        "seats-free": ("error_ratio", "28d", "50"),
    }


def test_options_fill_in_what_files_leave_open() -> None:
    """Team, service, window and scrape interval come from the command line, if given."""
    text = """
version: prometheus/v1
service: a
slos:
  - name: x
    objective: 99
    sli:
      events:
        error_query: sum(rate(e_total[{{.window}}]))
        total_query: sum(rate(t_total[{{.window}}]))
"""
    outcome, found = imported("sloth", text, team="ours", service="b", window="7d", scrape="30s", scrape_ms=30_000)
    spec = pipeline.load_set(list(outcome.specs.items()), "imported").output_set.specs[0]
    assert (spec.service, spec.owner.team, spec.defaults.scrape_ms) == ("b", "ours", 30_000)
    assert str(spec.slos[0].profile.window) == "7d"
    assert found.problems.errors == []


def test_a_spec_that_exists_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A spec that a person has edited is kept, except with --replace; without, this run writes nothing."""
    words = ["import", "sloth", str(DATA / "sloth-wifi-k8s.yml"), "-o", str(tmp_path)]
    (tmp_path / "office-wifi.yaml").write_text("mine\n")
    assert main(words) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["office-wifi.yaml"]
    assert (tmp_path / "office-wifi.yaml").read_text() == "mine\n"
    assert main([*words, "--replace"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["door-locks.yaml", "office-wifi.yaml"]
    assert "replace them with --replace" in capsys.readouterr().err
