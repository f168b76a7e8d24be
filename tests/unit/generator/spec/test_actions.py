"""Actions: the spec's text, and the receiver's data."""

from textwrap import indent
from typing import Any

import pytest

from generator.render.policy import policy
from tests.unit.generator.spec.loading import found, good

RULE = "policy: [{on: {severity: critical}, do: [act]}]\n"


def rendered(action: str) -> dict[str, Any]:
    """One action as the receiver reads it."""
    spec = good(f"actions:\n  act:\n{indent(action, '    ')}\n{RULE}")
    actions: Any = policy.render(spec)["actions"]
    return dict(actions["act"])


def test_a_freeze_drives_legacy_freezers_along() -> None:
    """A command with two argument lists, and a file with a text."""
    action = (
        "flag: /var/lib/freezeline/gateway/FREEZE.FLAG\n"
        'legacy: [{on: [/opt/f, "on"], off: [/opt/f, "off"]}, {file: /srv/frozen.txt, text: "frozen={reason}\\n"}]'
    )
    assert rendered(action) == {
        "type": "freeze",
        "flag": "/var/lib/freezeline/gateway/FREEZE.FLAG",
        "legacy": [
            {"on": ["/opt/f", "on"], "off": ["/opt/f", "off"], "timeout_s": 10},
            {"file": "/srv/frozen.txt", "text": "frozen={reason}\n"},
        ],
    }


def test_a_rollback_has_every_member_of_the_contract() -> None:
    """As in the contract's example, with every key."""
    action = """\
command: [/opt/gateway/rollback.sh, --now]
cwd: /opt/gateway
env: {REGION: eu}
timeout: 300s
grace: 5s
output_max_bytes: 4096
verify:  {command: [/opt/gateway/is-rolled-back.sh], timeout: 20s, done: [0], not_done: [1, 2]}
release: {command: [/opt/gateway/current-release.sh], timeout: 2500ms}
cooldown: 2h
max_per_day: 5
undo: {within: 60s, command: [/opt/gateway/redeploy.sh]}
"""
    assert rendered(action) == {
        "type": "rollback",
        "command": ["/opt/gateway/rollback.sh", "--now"],
        "cwd": "/opt/gateway",
        "env": {"REGION": "eu"},
        "timeout_s": 300,
        "grace_s": 5,
        "output_max_bytes": 4096,
        "verify": {
            "command": ["/opt/gateway/is-rolled-back.sh"],
            "timeout_s": 20,
            "done": [0],
            "not_done": [1, 2],
        },
        "release": {"command": ["/opt/gateway/current-release.sh"], "timeout_s": 2.5},
        "once_per": "release",
        "cooldown_s": 7200,
        "max_per_day": 5,
        "undo": {"within_s": 60, "command": ["/opt/gateway/redeploy.sh"], "timeout_s": 300},
    }


def test_a_rollback_that_cannot_read_the_release_runs_once_an_episode() -> None:
    """Defaults are written out, because the receiver has none."""
    assert rendered("command: [/opt/rollback.sh]") == {
        "type": "rollback",
        "command": ["/opt/rollback.sh"],
        "timeout_s": 300,
        "grace_s": 10,
        "output_max_bytes": 1048576,
        "once_per": "episode",
        "cooldown_s": 3600,
        "max_per_day": 3,
    }


def test_a_notice_names_channels_and_events() -> None:
    """Without events, the receiver sends the default ones."""
    assert rendered("channels: [toast, log]\nfallback: [log]\nevents: [frozen, unfrozen]") == {
        "type": "notify",
        "channels": ["toast", "log"],
        "fallback": ["log"],
        "events": ["frozen", "unfrozen"],
    }
    assert rendered("channels: [log]") == {"type": "notify", "channels": ["log"]}


@pytest.mark.parametrize(
    "action,code,place",
    [
        ("{flag: FREEZE.FLAG}", "policy/path", "FREEZE.FLAG"),
        ("{flag: /var/../FREEZE.FLAG}", "policy/path", "/var/../FREEZE.FLAG"),
        ("{flag: /var/lib/}", "policy/path", "/var/lib/"),
        ("{flag: /F, legacy: [{on: [/a]}]}", "spec/missing-key", "{on: [/a]}"),
        ("{flag: /F, legacy: [{on: [a], off: [/a]}]}", "policy/path", "a]"),
        ("{command: /opt/rollback.sh --now}", "policy/command", "/opt/rollback.sh --now"),
        ("{command: []}", "policy/command", "[]"),
        ("{command: [rollback.sh]}", "policy/path", "rollback.sh"),
        ("{command: [/opt/r, 5]}", "policy/command", "5]"),
        ("{command: [/opt/r], cwd: here}", "policy/path", "here"),
        ("{command: [/opt/r], timeout: 2d}", "policy/timeout", "2d"),
        ("{command: [/opt/r], once_per: release}", "policy/release", "release"),
        ("{command: [/opt/r], env: {FREEZELINE_X: a}}", "policy/env", "a}"),
        ("{command: [/opt/r], verify: {command: [/v], done: [256]}}", "policy/verify", "256"),
        ("{command: [/opt/r], verify: {command: [/v], done: [1]}}", "policy/verify", "{command: [/v], done: [1]}"),
        ("{command: [/opt/r], max_per_day: 0}", "spec/type", "0"),
        ("{channels: []}", "policy/channel", "[]"),
        ("{channels: [log, log]}", "policy/channel", "log]"),
        ("{channels: [log], events: [frozn]}", "policy/event", "[frozn]"),
        ("{channels: [log], flag: /F}", "policy/action", "{channels"),
        ("{tell: log}", "policy/action", "{tell"),
        ("{channels: [log], chanels: [log]}", "spec/unknown-key", "chanels"),
    ],
)
def test_a_mistake_in_an_action_is_reported_where_it_stands(action: str, code: str, place: str) -> None:
    """Code and position of each mistake, each once."""
    problems = found(f"actions:\n  act: {action}\n{RULE}")
    assert [(problem[0], problem[1].startswith(place)) for problem in problems] == [(code, True)]


def test_an_empty_action_is_no_action() -> None:
    """A forgotten action: the mapping is missing."""
    assert [code for code, _ in found(f"actions:\n  act:\n{RULE}")] == ["spec/type"]
