"""The demo's verdict on the steps that it has seen."""

from freezeline.demo import show
from freezeline.demo.timeline import LIMITS, Sighting, Step, Timeline, judge

BREACH_AT = 1_800_000_000.0


def timeline(*leave_out: Step, late: Step | None = None) -> Timeline:
    """Every step once, a quarter of a second apart, without the steps of `leave_out`; `late` comes an hour later."""
    found = Timeline(told=lambda _timeline, _sighting: None)
    for number, step in enumerate(Step):
        if step not in leave_out:
            at = BREACH_AT + number / 4 + (3600 if step is late else 0)
            found.saw(step, at, f"detail of {step}")
    return found


def test_every_step_once_and_in_time_is_good() -> None:
    """A complete run has no problem."""
    verdict = judge(timeline())
    assert verdict.ok
    assert show.verdict_lines(verdict)[-1] == "GOOD: every step was seen, each exactly once"


def test_each_missing_step_is_named() -> None:
    """Whichever step was not seen, the verdict is bad and names it."""
    for step in Step:
        verdict = judge(timeline(step))
        assert (verdict.ok, verdict.missing) == (False, (step,))
        assert f"missing: {step}" in show.verdict_lines(verdict)


def test_each_repeated_step_is_named() -> None:
    """Whichever step was seen twice, the verdict is bad and names it."""
    for step in Step:
        twice = timeline()
        twice.saw(step, BREACH_AT + 30, "again")
        verdict = judge(twice)
        assert (verdict.ok, verdict.repeated) == (False, (step,))
        assert f"seen more than once: {step}" in show.verdict_lines(verdict)


def test_each_limit_counts() -> None:
    """A step that comes too late makes the verdict bad, though it was seen."""
    for limit in LIMITS:
        verdict = judge(timeline(late=limit.end))
        assert (verdict.ok, verdict.missing) == (False, ())
        assert any(line.endswith(": TOO LATE") for line in show.verdict_lines(verdict))


def test_what_nobody_expected_is_named() -> None:
    """An unexpected notice makes the verdict bad."""
    more = timeline()
    more.unexpected.append("Slack: shop: ROLLBACK FAILED")
    verdict = judge(more)
    assert (verdict.ok, verdict.unexpected) == (False, ("Slack: shop: ROLLBACK FAILED",))


def test_the_table_is_in_the_order_of_time() -> None:
    """A step is sorted by its time, not by the time of its observation, and shows the seconds since the breach."""
    found = Timeline(told=lambda _timeline, _sighting: None)
    for step, at in ((Step.BREACH, 0.0), (Step.FLAG, 3.5), (Step.WEBHOOK, 3.25)):
        found.saw(step, BREACH_AT + at, "x")
    assert [row.split()[0] for row in show.table(found)] == ["+0.00", "+3.25", "+3.50"]


def test_programs_get_the_same_facts() -> None:
    """The JSON form holds steps, limits and what is wrong."""
    seen = timeline(Step.UNFREEZE)
    shown = show.as_json(seen, judge(seen), {"shop": "http://127.0.0.1:1"})
    assert (shown["ok"], shown["missing"], shown["addresses"]) == (False, ["unfreeze"], {"shop": "http://127.0.0.1:1"})
    assert shown["steps"][1] == {
        "step": "failure rate",
        "at": BREACH_AT + 0.25,
        "since_breach_s": 0.25,
        "detail": "detail of failure rate",
    }


def test_steps_are_told_as_they_come() -> None:
    """Each sighting is reported at once, with the timeline so far."""
    told: list[tuple[int, Sighting]] = []
    found = Timeline(told=lambda so_far, sighting: told.append((len(so_far.sightings), sighting)))
    found.saw(Step.BREACH, BREACH_AT, "it begins")
    assert told == [(1, Sighting(step=Step.BREACH, at=BREACH_AT, detail="it begins"))]
