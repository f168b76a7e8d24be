"""What the proofs promise follows from how far back the rules reach."""

import pytest

from generator import pipeline
from generator.model.spec import Slo
from generator.proofs import promises
from generator.units import HOUR, MINUTE

SPEC = """\
apiVersion: freezeline/v1
service: dns
owner: {{team: dns}}
defaults: {{window: {window}, scrape: 15s}}
slos:
  errors: {{objective: 99.9, sli: {{bad: 'e_total', total: 'r_total'}}}}
"""


def slo_of(window: str) -> Slo:
    """An SLO with tiers for a window."""
    loaded = pipeline.load_set([("slos/dns.yaml", SPEC.format(window=window).encode())], "slos")
    assert loaded.problems.errors == []
    return loaded.output_set.specs[0].slos[0]


@pytest.mark.parametrize("window", ["7d", "14d", "28d", "30d", "60d"])
def test_an_average_of_base_rates_resets_only_when_no_rate_has_an_error_left(window: str) -> None:
    """A short window that is shorter than the base window is such an average too."""
    slo = slo_of(window)
    profile = slo.profile
    for tier in profile.tiers:
        if tier.short_ms >= HOUR:  # longer windows are sums of rollups
            continue
        reach_ms = tier.short_ms
        if tier.short_ms != profile.base_ms and not (tier.pages and profile.is_adjacent(tier.short_ms)):
            reach_ms += profile.base_ms + 15_000
        assert promises.reset_ms(slo, tier, profile.cadence, 15_000) > reach_ms, tier.name


def test_the_case_exists() -> None:
    """At 14 days the fast tier's short window is shorter than the base window."""
    profile = slo_of("14d").profile
    assert profile.tiers[0].short_ms == 2.5 * MINUTE < profile.base_ms == 3 * MINUTE
