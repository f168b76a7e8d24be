"""The report of a rollout as values for the receiver's page, from a database as an engine writes it."""

import contextlib
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.rollouts import RolloutsError
from release.canary.state import AbortAsked, Checked, Phase, State, Tick
from release.canary.verdict import Verdict
from release.show.page import MEASUREMENTS_SHOWN, POINTS_MAX, lines, reported
from release.store.database import KEEP_EVERY_LOOK_S, THIN_LOOKS_S, Database, Look
from tests.unit.release.show.test_rollout_report import HOSTILE, fixture_state, measured, watched, with_test

__all__ = ["fixture_state"]


def test_all_numbers_are_there(state: Path) -> None:
    """Counts by gate, values with units, the newest measurement first, the events in words, and the A/B test."""
    with_test(state)
    found = reported(state / "canary", "shop", "r1")
    assert found is not None
    assert (found.release, found.stable, found.phase, found.stage, found.stages) == ("v2.1", "v1", "bake", 1, 3)
    counts = {one.gate: (one.stage, one.passed, one.breached, one.inconclusive, one.bound) for one in found.counted}
    assert counts == {"errors": (1, 0, 1, 1, "0.5 %"), "p95": (1, 1, 0, 0, "0.5 %")}
    shown = [(one.at, one.gate, one.verdict, one.value, one.samples, one.why) for one in found.measurements]
    assert shown == [
        ("1970-01-01 00:01:15Z", "errors", "inconclusive", "", "", HOSTILE),
        ("1970-01-01 00:01:00Z", "errors", "breach", "1.235 %", "812", ""),
        ("1970-01-01 00:01:00Z", "p95", "pass", "25 %", "812", ""),
    ]
    assert (found.measured, found.broken) == (3, None)
    assert [one.what for one in found.happened] == ["paused: ann"]
    asked = {one.gate: dict(one.queries) for one in found.asked}
    assert asked["errors"]["total"] == 'sum(increase(shop_requests_total{job="shop",version="v2.1"}[2m]))'
    (test,) = found.tests
    (gaps,) = test.lines
    assert gaps.points == [(86400.0, Decimal("0.5")), (172800.0, Decimal("0.5"))]
    assert gaps.name == "errors: canary − stable, in percentage points"
    assert (test.stage, test.columns[0], test.rows[0][:2]) == (2, "metric", ("errors", "44 of 800 (5.500%)"))
    assert found.markdown.startswith("## Rollout of shop v2.1\n")


def test_events_say_who_and_why(state: Path) -> None:
    """Orders with name and reason, refusals with their reasons, and looks that changed something."""
    database = Database(state / "canary" / "shop.db")
    (rollout,) = database.rollouts()
    database.save(Checked(reasons=("frozen", "no backup")), rollout.state, [], at=200)
    database.save(AbortAsked(by="ann", reason="wrong build"), rollout.state, [], at=201)
    aborting = replace(rollout.state, phase=Phase.ABORTING)
    database.save(Tick(at=202.0, weight=None, measured=()), aborting, [], at=202)
    database.close()
    found = reported(state / "canary", "shop", "r1")
    assert found is not None
    assert [(one.what, one.phase) for one in found.happened][1:] == [
        ("checked: frozen, no backup", "bake"),
        ("abort asked: ann, wrong build", "bake"),
        ("the engine looked at the canary", "aborting"),
    ]


def test_a_long_rollout_lists_its_newest_measurements(state: Path) -> None:
    """The page stays short; the counts are of all looks."""
    watched(state, 500)
    found = reported(state / "canary", "shop", "r1")
    assert found is not None
    assert (found.measured, len(found.measurements), found.measurements[0].at) == (
        503,
        MEASUREMENTS_SHOWN,
        "1970-01-01 00:09:59Z",
    )
    assert [one.passed for one in found.counted] == [500, 1]


@pytest.mark.parametrize("service,rollout", [("shop", "r2"), ("other", "r1"), ("../shop", "r1"), ("", ""), ("\0", "")])
def test_nobody_knows_it(state: Path, service: str, rollout: str) -> None:
    """No such service, no such rollout, and no way to another file."""
    (state / "shop.db").write_bytes((state / "canary" / "shop.db").read_bytes())
    assert reported(state / "canary", service, rollout) is None


def test_what_cannot_be_read_is_said(state: Path) -> None:
    """A policy that nobody understands, a damaged database, and a name that no file can have."""
    database = Database(state / "canary" / "shop.db")
    database.begin(State(rollout="old", release="v0", stable=""), policy='{"canary": {}}', every_s=15, at=0)
    database.close()
    (state / "canary" / "broken.db").write_text("no database")
    for service, rollout, said in (
        ("shop", "old", "the policy of rollout old"),
        ("broken", "r1", "not a database"),
        ("x" * 300, "r1", "too long"),
    ):
        with pytest.raises(RolloutsError, match=said):
            reported(state / "canary", service, rollout)


def test_a_damaged_record_is_said(state: Path) -> None:
    """The hash chain no longer fits."""
    with contextlib.closing(sqlite3.connect(state / "canary" / "shop.db", isolation_level=None)) as database:
        database.execute("UPDATE step SET event = 'Promoted'")
    found = reported(state / "canary", "shop", "r1")
    assert found is not None
    assert found.broken == 1


def look(at: float, value: str | None, verdict: Verdict = Verdict.PASS) -> Look:
    """A look at one gate."""
    return Look(
        at=at, stage=0, tick=Tick(at=at, weight=Decimal("0.1"), measured=(measured("errors", verdict, value, 9),))
    )


def test_a_line_has_no_holes_and_every_breach() -> None:
    """Two days of looks, thinned out after the first as the database thins them, with one breach early and one late."""
    early, late = KEEP_EVERY_LOOK_S / 3, KEEP_EVERY_LOOK_S * 1.5
    times = [15.0 * number for number in range(int(KEEP_EVERY_LOOK_S / 15))]
    times += [KEEP_EVERY_LOOK_S + THIN_LOOKS_S * number for number in range(int(KEEP_EVERY_LOOK_S / THIN_LOOKS_S))]
    bad = {early, late}
    looks = [look(at, "0.5" if at in bad else "0.001", Verdict.BREACH if at in bad else Verdict.PASS) for at in times]
    (line,) = lines(looks, ["errors"])
    assert line.at_least
    assert 200 < len(line.points) <= POINTS_MAX
    gaps = {round(later[0] - before[0]) for before, later in zip(line.points, line.points[1:], strict=False)}
    assert gaps == {2 * THIN_LOOKS_S}
    assert [value for _, value in line.points].count(Decimal("0.5")) == 2


def test_nothing_measured_draws_nothing() -> None:
    """No look, and looks without a value; a value of nought is a value."""
    assert lines([]) == []
    assert [list(one.points) for one in lines([look(0, None)])] == [[]]
    assert [value for _, value in lines([look(0, "0")])[0].points] == [Decimal(0)]
