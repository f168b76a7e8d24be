"""Records of rollouts that went as said, for tests that then spoil them."""

from freezeline.demo.rollout.acts import BAD, OPENING
from freezeline.demo.rollout.record import Expected, Outcome, Record, Step

ERRS = BAD[0]
EXPECTED = Expected(
    shares=("10 %", "50 %", "100 %"),
    breaches={"errors": 3, "p95": 3, "memory": 2},
    good=("shop: rollout begins", "shop: rollout done"),
    bad=(
        "shop: rollout begins",
        "shop: CANARY ABORTED",
        "shop is frozen",
        "shop: rollback started",
        "shop: rollback done",
        "shop: canary rolled back",
        "shop is unfrozen",
    ),
)
WHY = "gate errors: 25 % (limit 0.5 %), 8 of 32 events are bad, 3 times in a row"

GOOD_STEPS = (
    (0.0, Step.BEGIN, ""),
    (1.2, Step.TOLD, "shop: rollout begins"),
    (1.9, Step.DEPLOYED, "v2"),
    (2.5, Step.TRAFFIC, "10 %"),
    (14.2, Step.TRAFFIC, "50 %"),
    (24.2, Step.TRAFFIC, "100 %"),
    (34.1, Step.TOLD, "shop: rollout done"),
    (34.5, Step.ENDED, "v2 is done"),
    (34.8, Step.STABLE, "v2"),
)
BAD_STEPS = (
    (34.9, Step.BEGIN, ""),
    (36.1, Step.TOLD, "shop: rollout begins"),
    (36.6, Step.DEPLOYED, "v3"),
    (37.2, Step.TRAFFIC, "10 %"),
    (40.0, Step.ALERT, "ShopErrors"),
    (45.0, Step.TAKEN_BACK, WHY),
    (45.1, Step.NO_TRAFFIC, "0 %"),
    (45.1, Step.NO_SESSIONS, ""),
    (45.1, Step.TOLD, "shop: CANARY ABORTED"),
    (45.2, Step.FROZEN, "FREEZE.FLAG"),
    (45.3, Step.TOLD, "shop is frozen"),
    (45.3, Step.TOLD, "shop: rollback started"),
    (45.8, Step.ROLLED_BACK, "v2"),
    (45.9, Step.TOLD, "shop: rollback done"),
    (47.1, Step.TOLD, "shop: canary rolled back"),
    (47.2, Step.ENDED, "v3 is rolled back"),
    (47.3, Step.UNFROZEN, "FREEZE.FLAG"),
    (47.4, Step.TOLD, "shop is unfrozen"),
)


def outcome(phase: str, why: str = "", *, streak: int = 0, starts: int = 0, failed: int = 0, code: int = 0) -> Outcome:
    """How a rollout ended."""
    return Outcome(
        phase=phase, why=why, streak=streak, exit_code=code, rollback_starts=starts, sent=1000, failed=failed
    )


def record(*, without: Step | None = None, twice: Step | None = None) -> Record:
    """The good release, then the one that errs; a step may be left out, or come twice."""
    made = Record(told=lambda _so_far, _sighting: None)
    for act, steps in ((OPENING, GOOD_STEPS), (ERRS, BAD_STEPS)):
        made.release = act.release
        for at, step, detail in steps:
            for _ in range(0 if step is without else 2 if step is twice else 1):
                made.saw(step, at, detail)
    made.outcomes = {"v2": outcome("done"), "v3": outcome("rolled_back", WHY, streak=3, starts=1, failed=15, code=1)}
    return made
