"""docs/flags.md and the shipped launch day: the flags are sound, the spec compiles, the gate says GO."""

import asyncio
import json
import re
from pathlib import Path

from freezeline.problems import Problems
from receiver.act import flagd
from receiver.policy.model import SwitchAction
from release.gate import flags
from release.policy.gate import Flags
from release.policy.read import ReleasePolicy, read
from tests.tools import ROOT
from tests.unit.generator.spec.loading import good
from tests.unit.release.gate.worlds import world

PAGE = (ROOT / "docs" / "flags.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The page's examples in one language."""
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^ *```", PAGE)
    return [re.sub(rf"(?m)^{indent}", "", text) for indent, text in found]


def launch_day() -> ReleasePolicy:
    """The shipped policy of the launch day."""
    found = read(ROOT / "rules" / "policy" / "day0-launch.policy.json", Problems())
    assert found is not None
    return found


def example(directory: Path) -> Path:
    """The page's file of feature flags, and a flag of the launch day beside it."""
    (text,) = blocks("json")
    content = json.loads(text)
    worker = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    content["flags"]["durable_worker"] = worker
    path = directory / "flags.json"
    path.write_text(json.dumps(content))
    return path


def test_the_page_s_file_is_flagd_s(tmp_path: Path) -> None:
    """And the switch of the page can set the flag."""
    assert flagd.obstacle(example(tmp_path), [("provider_fallback", "on")]) == ""


def test_the_page_s_spec_compiles() -> None:
    """The rule, the action and the check of the gate."""
    rule, gate = blocks("yaml")
    others = "  freeze: {flag: /var/lib/freezeline/gateway/FREEZE.FLAG}\n  tell: {channels: [log]}\n"
    spec = good(rule + others + gate)
    assert spec.actions["fallback"].name == "fallback"


def test_the_launch_day_switches_its_provider(tmp_path: Path) -> None:
    """The shipped policy sets the flag on a freeze and on an abort, and the flag of the page fits."""
    policy = launch_day().policy
    (switch,) = [action for action in policy.actions.values() if isinstance(action, SwitchAction)]
    assert [rule.id for rule in policy.rules if switch.name in rule.do] == [rule.id for rule in policy.rules]
    assert policy.rollouts is not None
    assert switch.name in policy.rollouts.on_abort
    assert policy.switches_of_freezes() == (switch.name,)
    assert flagd.obstacle(example(tmp_path), [(switch.flag, switch.variant)]) == ""


def test_the_launch_day_s_gate_asks_for_the_header(tmp_path: Path) -> None:
    """GO with the rule for single requests, NO-GO without."""
    gate = launch_day().gate
    assert gate is not None
    (shipped,) = [check for check in gate.checks if isinstance(check, Flags)]
    path = example(tmp_path)
    check = Flags(id=shipped.id, flag_file=str(path), present=shipped.present, values=shipped.values)
    assert asyncio.run(flags.check(check, world(tmp_path))).verdict.value == "GO"
    path.write_text(path.read_text().replace("x-provider-fallback", "x-other"))
    assert asyncio.run(flags.check(check, world(tmp_path))).verdict.value == "NO_GO"
