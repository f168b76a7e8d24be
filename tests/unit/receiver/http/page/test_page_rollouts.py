"""What the page, the state and `freezeline status` show of a rollout: stage, share, gates, and what comes next."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from freezeline.commands import status
from receiver import report
from receiver.http.incoming import RefusedError
from receiver.http.page.reports import CACHED_MAX, SAME, Reports
from receiver.http.page.rollout_shown import EVENTS_SHOWN, told
from receiver.http.page.rollouts import cards, earlier
from receiver.http.rollout import shown, waits_for
from receiver.rollout_report import AbResult, Asked, Counted, Happened, Line, Measurement, RolloutReport
from receiver.rollouts import Ended, Rollout, RolloutsError
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


GAPS = Line(
    name="errors: canary − stable, in percentage points",
    unit="",
    points=[(AT - 7200, Decimal("0.4")), (AT - 3600, Decimal("-0.1"))],
    bound=None,
    at_least=False,
)


def report_of(text: str = "errors", **changes: Any) -> RolloutReport:
    """The report of a rollout of an hour; `text` stands wherever others choose the words."""
    values: dict[str, Any] = {
        "service": text,
        "id": "r1",
        "release": text,
        "stable": text,
        "phase": "rolled back",
        "why": text,
        "begun_at": AT - 7200,
        "ended_at": AT - 3600,
        "stage": 1,
        "stages": 3,
        "asked": [Asked(gate=text, queries=[("total", text)], window="120 s")],
        "counted": [
            Counted(stage=1, gate=text, passed=7, breached=3, inconclusive=0, value="2 %", bound="0.5 %", why=text)
        ],
        "lines": [
            Line(
                name=text,
                unit="ratio",
                points=[(AT - 7000, Decimal("0.01")), (AT - 6000, Decimal("0.02"))],
                bound=Decimal("0.005"),
                at_least=False,
            )
        ],
        "happened": [
            Happened(at=AT - 7100, what=text, phase="settle", stage=1),
            Happened(at=AT - 3600, what=text, phase="rolled back", stage=1),
        ],
        "tests": [AbResult(stage=2, said=text, columns=("metric", "result"), rows=[(text, text)], lines=[GAPS])],
        "measurements": [
            Measurement(
                at="12:00", stage=1, gate=text, verdict="breach", value="2 %", bound="0.5 %", samples="900", why=text
            )
        ],
        "measured": 10,
        "broken": None,
        "markdown": "",
    }
    return RolloutReport(**{**values, **changes})


def test_the_report_has_all_numbers() -> None:
    """Verdicts, values, graph with limit and end, A/B test, events, queries, and how many measurements there are."""
    text = rendered("rollout.html", report=told(report_of(), NOW))
    for part in (
        "errors: errors</h1>",
        '<p class="tag bad">rolled back</p>',
        "<dt>Lasted</dt><dd>60 min</dd>",
        '<span class="tag good">7 pass</span> <span class="tag bad">3 breach</span>',
        "limit 0.5 %",
        'class="mark rollback"',
        "A/B test of stage 2",
        "errors: canary − stable, in percentage points: now -0.100, highest +0.400",
        "rolled back, stage 1",
        "total: <code>errors</code>",
        "9 older ones",
        'href="./page/rollout.md?service=errors&amp;id=r1"',
    ):
        assert part in text, part
    assert "inconclusive" not in text
    assert "damaged" not in text


def test_of_very_many_events_the_newest_are_shown() -> None:
    """A hold that comes and goes for days. The graphs still mark each stage."""
    shift = Happened(at=AT - 7199, what="shifted", phase="settle", stage=1)
    looks = [Happened(at=AT - 7000 + one, what=f"look {one}", phase="bake", stage=1) for one in range(2 * EVENTS_SHOWN)]
    found = told(report_of(happened=[shift, *looks], ended_at=None), NOW)
    assert (len(found.events), found.earlier, found.events[-1].sentence) == (EVENTS_SHOWN, EVENTS_SHOWN + 1, "look 599")
    assert [mark.text for mark in found.graphs[0].marks] == ["stage 1"]
    assert "301 earlier events are in the Markdown file" in rendered("rollout.html", report=found)


def test_the_report_of_a_running_rollout() -> None:
    """No end, no verdict on the whole; a damaged record is said; nothing measured, nothing drawn."""
    running = report_of(phase="bake", ended_at=None, broken=4, counted=[], lines=[], tests=[], measured=1)
    text = rendered("rollout.html", report=told(running, NOW))
    for part in ("<dt>Ended</dt><dd>not yet</dd>", "Runs for", "damaged from step 4", "Nobody has looked", '"tag"'):
        assert part in text, part
    for part in ("older ones", "Values</h2>", "A/B test"):
        assert part not in text, part


def test_a_hostile_report_is_inert() -> None:
    """Markup is text, and no mark turns the direction of the text around it."""
    text = rendered("rollout.html", report=told(report_of(HOSTILE + "\u202etxt\u2066\x1b[31m"), NOW))
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 15
    assert "{{7*7}}" in text
    assert not {"\u202e", "\u2066", "\x1b"} & set(text)


def test_marks_of_direction_are_inert_on_cards() -> None:
    """An engine's reasons come from commands and other servers."""
    found = cards([rollout("aborting", release="v\u202e2", why="a\u2067b", holds={"source": "c\u200fd"})], AT)
    text = rendered("rollouts_page.html", earlier=(), rollouts=found)
    assert not {"\u202e", "\u2067", "\u200f"} & set(text)
    assert "a b" in text


async def test_visitors_share_a_report() -> None:
    """One reading for all, until the report is old; an unknown rollout is asked for anew."""
    asked: list[tuple[str, str]] = []
    now = [NOW]

    def reporter(service: str, number: str) -> RolloutReport | None:
        asked.append((service, number))
        if number == "broken":
            raise RolloutsError("disk")
        return report_of(id=number) if number.startswith("r") else None

    reports = Reports(reporter=reporter, clock=lambda: now[0])
    first, second = await asyncio.gather(reports.of("shop", "r1"), reports.of("shop", "r1"))
    assert (first is second, asked) == (True, [("shop", "r1")])
    now[0] += SAME
    assert await reports.of("shop", "r1") is not first
    for number, code in (("x", 404), ("broken", 503)):
        with pytest.raises(RefusedError) as refused:
            await reports.of("shop", number)
        assert refused.value.status == code
    oldest = await reports.of("shop", "r0")
    for place in range(1, CACHED_MAX):
        await reports.of("shop", f"r{place + 1}")
    assert await reports.of("shop", "r0") is oldest
    await reports.of("shop", "r99")
    assert await reports.of("shop", "r0") is not oldest
