"""A proof that cannot fail proves nothing: each change of the rules that matters makes one fail."""

from pathlib import Path

import pytest

from tests.acceptance.proofs.test_proofs_hold import failures, render
from tests.tools import Generation, generations

SPEC = """\
apiVersion: freezeline/v1
service: gateway
owner: {team: gateway}
defaults: {interval: 30s, scrape: 15s}
slos:
  failures: {objective: 99.5, sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}
alerts:
  FailureRateHigh:
    ratio: {bad: 'jobs_total{status="failed"}', total: jobs_total}
    over: 1m
    above: 0.5%
    for: 30s
    within: 2m
    severity: critical
"""
OWN, SHARED = "rules/gateway.rules.yml", "rules/shared.30d-30s.rules.yml"
FAST, ALERTS = "rules/tests/gateway.test.yml", "rules/tests/gateway.alerts.test.yml"
SLICES = """\
apiVersion: freezeline/v1
service: gateway
owner: {team: gateway}
defaults: {interval: 30s, scrape: 15s}
slos:
  up:
    objective: 99.5
    tiers: {medium: {share: 5%, long: 6h, short: 30m, severity: critical}}
    sli: {good_when: 'up == 1', slice: 1m}
"""


def built(interval: str) -> tuple[str, str]:
    """A build of the rules, and the tests of it."""
    return f"rules/tests/gateway.{interval}.rules.yml", f"rules/tests/gateway.{interval}.test.yml"


# (file, what stands there, what is put there instead, test file that must notice, alert that it names)
CHANGES = {
    "plain threshold too high": (OWN, "> 0.005\n", "> 0.0056\n", ALERTS, "FailureRateHigh"),
    "plain threshold too low": (OWN, "> 0.005\n", "> 0.0044\n", ALERTS, "FailureRateHigh"),
    "plain alert waits too long": (OWN, "for: 30s", "for: 2m", ALERTS, "FailureRateHigh"),
    "plain alert with another severity": (OWN, "severity: critical", "severity: warning", ALERTS, "FailureRateHigh"),
    "plain alert over the wrong range": (OWN, "[1m]", "[10m]", ALERTS, "FailureRateHigh"),
    "page factor too high": (built("1m")[0], "14.4 *", "15.9 *", built("1m")[1], 'tier="fast"'),
    "page factor too low": (built("1m")[0], "14.4 *", "12.9 *", built("1m")[1], 'tier="fast"'),
    "page without its short window": (
        SHARED,
        '="5m"})\n              >',
        '="1h"})\n              >',
        FAST,
        'tier="fast"',
    ),
    "page without a minimum of events": (SHARED, "> 4.5", "> 0.5", FAST, 'tier="fast"'),
    "ticket without a minimum of events": (built("5m")[0], "> 4.5", "> 0.5", built("5m")[1], 'tier="slow"'),
    "ticket factor too low": (built("20m")[0], " 3 * slo", " 2.6 * slo", built("20m")[1], 'tier="slow"'),
    "no team on the alert": (SHARED, "group_left (team)", "group_left ()", FAST, 'tier="fast"'),
    "errors that need an error series": (OWN, " or 0 * sum(slo:total:rate5m", " or sum(gone", FAST, "SLONoData"),
    "no data too late": (SHARED, "for: 10m", "for: 20m", FAST, "SLONoData"),
    "no data too soon": (SHARED, "for: 10m", "for: 1m", FAST, "SLONoData"),
    "budget alert too late": (built("5m")[0], "<= 0.5\n", "<= 0.4\n", built("5m")[1], 'budget_consumed="50"'),
    "budget alert too soon": (built("5m")[0], "<= 0\n", "<= 0.11\n", built("5m")[1], 'budget_consumed="100"'),
}


@pytest.fixture(scope="module")
def newest() -> Generation:
    """One generation is enough: the unchanged proofs hold on both."""
    found = generations()
    if not found:
        pytest.skip("no Prometheus tools are here (./dev tools --all fetches them)")
    return found[-1]


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_rule_is_noticed(change: str, newest: Generation, tmp_path: Path) -> None:
    """The changed rules fail, and the failure names the alert."""
    file, old, new, test, named = CHANGES[change]
    assert test in render("slos/gateway.yaml", SPEC, tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    changed = text.replace(old, new)
    assert changed != text, f"{old!r} does not stand in {file}"
    (tmp_path / file).write_text(changed, encoding="utf-8")
    found = failures(newest, tmp_path, [test])
    assert any(named in message.replace('\\"', '"') for message in found), found


# (what stands in the build for 5 minutes, what is put there instead)
CHANGES_OF_SLICES = {
    "factor too high": (" 6 *", " 6.7 *"),
    "factor too low": (" 6 *", " 5.3 *"),
    "slices counted twice": ("[4m59s:1m]", "[9m59s:1m]"),
    "slices of half a minute": (":1m]", ":30s]"),
    "without a minimum of slices": ("> 4.5", "> 0.5"),
}


@pytest.mark.parametrize("change", CHANGES_OF_SLICES)
def test_a_wrong_count_of_slices_is_noticed(change: str, newest: Generation, tmp_path: Path) -> None:
    """Patterns of good and bad slices hold the rules to the share, as steady traffic does elsewhere."""
    tests = render("slos/gateway.yaml", SLICES, tmp_path)
    old, new = CHANGES_OF_SLICES[change]
    found = []
    for interval in ("5m", "2m30s"):
        file, test = built(interval)
        assert test in tests
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
        found += failures(newest, tmp_path, [test])
    assert any('tier="medium"' in message.replace('\\"', '"') for message in found), found
