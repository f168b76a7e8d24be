"""Alerts about the receiver fire when they should, with a real promtool: also when nobody is left to complain."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from generator.render.rules import self_rules
from tests.tools import Generation

WELL = {
    'up{job="freezeline",instance="a"}': "1x20",
    'freezeline_policy_load_ok{job="freezeline",instance="a"}': "1x20",
    'freezeline_policies{job="freezeline",instance="a"}': "2x20",
    'freezeline_component_ok{component="flags"}': "1x20",
    'freezeline_component_ok{component="loops"}': "1x20",
    'freezeline_freeze_not_on_disk{service="shop"}': "0x20",
    'freezeline_watchdog_last_seen_timestamp_seconds{instance="a"}': "0+30x20",
    'freezeline_reconcile_last_success_timestamp_seconds{instance="a"}': "0+30x20",
}
TROUBLE = {
    "FreezelineReceiverDown": ('up{job="freezeline",instance="a"}', "0x20"),
    "FreezelinePolicyRefused": ('freezeline_policy_load_ok{job="freezeline",instance="a"}', "0x20"),
    "FreezelineNoPolicies": ('freezeline_policies{job="freezeline",instance="a"}', "0x20"),
    "FreezelineCannotFreeze": ('freezeline_component_ok{component="flags"}', "0x20"),
    "FreezelineDegraded": ('freezeline_component_ok{component="loops"}', "0x20"),
    "FreezelineFreezeMissing": ('freezeline_freeze_not_on_disk{service="shop"}', "1x20"),
    "FreezelineDeadLetters": ('freezeline_dead_letters{channel="chat",instance="a"}', "1x20"),
    "FreezelineWatchdogLost": ('freezeline_watchdog_last_seen_timestamp_seconds{instance="a"}', "0x20"),
    "FreezelineReconcileStale": ('freezeline_reconcile_last_success_timestamp_seconds{instance="a"}', "0x20"),
}


def firing(generation: Generation, folder: Path, series: dict[str, str], *, acts: bool = True) -> set[str]:
    """The alerts of `TROUBLE` that fire after eight minutes of these series."""
    (folder / "self.rules.yml").write_text(self_rules.render("slos", acts=acts).text()[0])
    given = [{"series": name, "values": values} for name, values in series.items()]
    none = [{"eval_time": "8m", "alertname": alert} for alert in TROUBLE]
    test = {"interval": "30s", "input_series": given, "alert_rule_test": none}
    whole = {"rule_files": ["self.rules.yml"], "evaluation_interval": "30s", "tests": [test]}
    (folder / "test.yml").write_text(json.dumps(whole))
    command = [str(generation.promtool), "test", "rules", "test.yml"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    fired = set(re.findall(r"alertname: ?(\w+)", said))
    assert (ran.returncode == 0) == (not fired), said
    return fired


def test_a_receiver_that_is_well_is_silent(generation: Generation, tmp_path: Path) -> None:
    """Everything is up and says 1."""
    assert firing(generation, tmp_path, WELL) == set()


@pytest.mark.parametrize("alert", sorted(TROUBLE))
def test_each_trouble_has_its_alert(alert: str, generation: Generation, tmp_path: Path) -> None:
    """One series tells of trouble, and one alert fires."""
    name, values = TROUBLE[alert]
    assert firing(generation, tmp_path, {**WELL, name: values}) == {alert}


def test_a_receiver_that_nobody_scrapes_has_an_alert(generation: Generation, tmp_path: Path) -> None:
    """No series at all; but without any policy nobody needs a receiver."""
    assert firing(generation, tmp_path, {"other": "1x20"}) == {"FreezelineReceiverDown"}
    assert firing(generation, tmp_path, {"other": "1x20"}, acts=False) == set()
