"""What the page, the state and `freezeline status` show of a rollout: stage, share, gates, and what comes next."""

from typing import Any

import pytest
from msgspec.structs import replace

from freezeline.commands import status
from receiver import report
from receiver.http.page.rollouts import cards, earlier
from receiver.http.rollout import shown, waits_for
from receiver.rollouts import Ended, Rollout
from tests.unit.receiver.builders import NOW, policies, policy
from tests.unit.receiver.http.page.shown import HOSTILE, rendered, standing

AT = NOW.timestamp()
STAGES: tuple[dict[str, Any], ...] = (
    {"weight": "0.07", "bake_s": 5400, "then": {"gate": True, "approval": {"then": "hold"}}},
    {"weight": "0.5", "bake_s": 1209600, "ab": {"metrics": []}},
    {"weight": "1", "soak_s": 86400},
)
PASS = {
    "gate": "errors",
    "verdict": "pass",
    "value": "0.001",
    "bound": "0.005",
    "unit": "ratio",
    "samples": 900,
    "why": "",
}
BREACH = {"gate": "p95", "verdict": "breach", "value": "0.81", "bound": "0.8", "samples": 900, "why": "40 of 900"}
NO_DATA = {"gate": "memory", "verdict": "inconclusive", "value": None, "bound": None, "samples": None, "why": "no data"}


def rollout(phase: str, stage: int = 0, *, age_s: float = 5, ended_s: float | None = None, **state: Any) -> Rollout:
    """A rollout at which an engine looked some seconds ago."""
    return Rollout(
        service="shop",
        id="r1",
        release=state.pop("release", "v2"),
        begun_at=AT - 9000,
        ended_at=None if ended_s is None else AT - ended_s,
        every_s=15,
        looked_at=AT - age_s,
        state={"phase": phase, "stage": stage, "weight": "0.07", "answers": {}, "holds": {}, **state},
        look={"weight": "0.07", "measured": [PASS, BREACH, NO_DATA]},
        stages=STAGES,
        speed=1.0,
    )


@pytest.mark.parametrize(
    "found,expected",
    [
        (rollout("precheck"), ["the checks before the rollout must end"]),
        (rollout("precheck", answers={"approval_asked_at": 1.0}), ["a person must approve the beginning"]),
        (rollout("deploy"), ["the deploy command must end"]),
        (rollout("shift", 1), ["the proxy must give the canary 50 % of the traffic"]),
        (rollout("settle"), ["every gate needs a window with data of this weight alone"]),
        (rollout("bake", baked_s=42.0), ["watched for 42 s of 90 min"]),
        (rollout("soak", 2, baked_s=7200.0), ["watched for 2 h of 24 h"]),
        (rollout("evaluate"), ["the go/no-go gate must say GO"]),
        (
            rollout("evaluate", answers={"gate": True, "approval_asked_at": 1.0, "approved_by": ""}),
            ["a person must approve this stage: `freezeline canary approve`"],
        ),
        (rollout("evaluate", 1), ["the A/B test must find the canary not worse"]),
        (rollout("evaluate", 1, answers={"ab": "not_worse"}), ["every gate's last verdict must be PASS"]),
        (
            rollout("bake", baked_s=0.0, holds={"frozen": "the service is frozen"}),
            ["held: the service is frozen", "watched for 0 s of 90 min"],
        ),
        (rollout("aborting"), ["the canary's traffic must end"]),
        (rollout("aborting", cut=True), ["the rollback must end"]),
        (rollout("superseding"), ["the canary's traffic must end"]),
        (
            rollout("settle", age_s=50),
            [
                "nobody has looked for 50 s: start `freezeline canary run` again",
                "every gate needs a window with data of this weight alone",
            ],
        ),
        (rollout("done", 2, ended_s=60), []),
    ],
)
def test_what_the_engine_waits_for(found: Rollout, expected: list[str]) -> None:
    """One sentence for each thing that must happen before the rollout goes on."""
    assert list(waits_for(found, AT)) == expected
    assert shown(found, AT)["waits_for"] == expected


def test_the_state_has_stage_share_and_gates() -> None:
    """Percentages are those of the policy, digit by digit. A look from before there were units has bare numbers."""
    found = shown(rollout("bake"), AT)
    assert (found["stage"], found["stages"], found["running"]) == (1, 3, True)
    shares = {"wanted_percentage": 7.0, "configured_percentage": 7.0, "measured_percentage": 7.0}
    assert found["traffic"] == shares
    assert found["gates"] == [
        {**PASS, "value_text": "0.1 %", "bound_text": "0.5 %"},
        {**BREACH, "value_text": "0.81", "bound_text": "0.8"},
        {**NO_DATA, "value_text": "", "bound_text": ""},
    ]


def test_the_page_shows_a_rollout() -> None:
    """Stage, share, why the rollout waits, and each gate with value and limit."""
    text = rendered("rollouts_page.html", earlier=(), rollouts=cards([rollout("bake", baked_s=42.0)], AT))
    for said in ("shop: v2", "1 of 3", "7 % set, 7 % read from the proxy", "watched for 42 s of 90 min", "data-live"):
        assert said in text
    for cell in (
        ">errors</td>",
        ">0.1 %</td>",
        ">0.5 %</td>",
        ">0.81</td>",
        '<span class="tag bad">breach</span>',
        "no data",
    ):
        assert cell in text
    assert "No rollout yet." in rendered("rollouts_page.html", earlier=(), rollouts=())


def test_hostile_releases_and_reasons_are_inert() -> None:
    """Whatever names a release, a gate or a reason, the page shows text."""
    gates = [PASS | {"gate": HOSTILE, "why": HOSTILE, "verdict": HOSTILE}]
    hostile = rollout("aborting", release=HOSTILE, why=HOSTILE, holds={"source": HOSTILE})
    found = cards([replace(hostile, service=HOSTILE, look={"measured": gates})], AT)
    text = rendered("rollouts_page.html", earlier=(), rollouts=found)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 6
    assert "{{7*7}}" in text


def test_running_rollouts_come_first_and_old_ones_go() -> None:
    """The page keeps an ended rollout for a day."""
    running = replace(rollout("bake"), service="zoo")
    ended, old = rollout("done", 2, ended_s=3600), replace(rollout("done", 2, ended_s=90_000), service="old")
    assert [one.service for one in cards([ended, old, running], AT)] == ["zoo", "shop"]
    assert [one.service for one in cards([ended, old, running], AT, ended_s=None)] == ["zoo", "old", "shop"]


def test_status_says_the_same() -> None:
    """Control characters of a release or a reason are escaped on the terminal."""
    found = report.state(standing(), policies(policy()), now=NOW, version="1")
    hostile = replace(rollout("bake", baked_s=42.0, holds={"source": "x\x1b[31m"}), release="v\x1b2")
    lines = status.lines({**found, "rollouts": [shown(hostile, AT)]})
    assert "shop: rollout of v\\x1b2: bake, stage 1 of 3, 7 % of the traffic" in lines
    assert "  waits for: held: x\\x1b[31m" in lines
    assert "  waits for: watched for 42 s of 90 min" in lines
    assert "  gate errors: pass: 0.1 % (limit 0.5 %)" in lines
    assert "  gate p95: breach: 0.81 (limit 0.8), 40 of 900" in lines
    assert "  gate memory: inconclusive: no data, no data" in lines


def test_earlier_rollouts_are_a_list() -> None:
    """Without the newest of each service, which has a card; the engines' texts are inert."""
    over = Ended(
        service="shop",
        id="r0",
        release=HOSTILE,
        begun_at=AT - 9000,
        ended_at=AT - 1800,
        phase="rolled_back",
        why="p95 0.81 > 0.8, twice in a row",
    )
    newest = rollout("done", ended_s=60)
    found = earlier([replace(over, id="r1"), over, replace(over, id="r2", phase="done")], [newest], NOW)
    assert [(one.outcome, one.good, one.took, one.ended.ago) for one in found] == [
        ("rolled back", False, "2 h", "30 min"),
        ("done", True, "2 h", "30 min"),
    ]
    text = rendered("rollouts_page.html", rollouts=(), earlier=found)
    assert ("p95 0.81 &gt; 0.8, twice in a row" in text, HOSTILE in text) == (True, False)
