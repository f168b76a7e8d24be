"""What was seen of each rollout, and the verdict on it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct, field

from freezeline.demo.rollout.acts import Act, Fault


class Step(StrEnum):
    """Something that was seen from outside."""

    BEGIN = "begin"
    DEPLOYED = "deployed"
    TRAFFIC = "traffic"
    ALERT = "alert"
    TAKEN_BACK = "taken back"
    NO_TRAFFIC = "no traffic"
    NO_SESSIONS = "no sessions"
    FROZEN = "frozen"
    ROLLED_BACK = "rolled back"
    TOLD = "told"
    ENDED = "ended"
    UNFROZEN = "unfrozen"
    STABLE = "stable"


class Sighting(Struct, frozen=True, kw_only=True):
    """One step of a release's rollout: `at` in seconds since 1970, and what was seen, in words."""

    release: str
    step: Step
    at: float
    detail: str


class Outcome(Struct, frozen=True, kw_only=True):
    """How the engine's rollout ended, by its database and its exit code; how often the script started."""

    phase: str
    why: str
    streak: int
    exit_code: int
    rollback_starts: int
    sent: int
    failed: int


class Record(Struct, kw_only=True):
    """Sightings in the order of observation. `told` gets each one as it happens."""

    told: Callable[[Record, Sighting], None]
    release: str = ""
    sightings: list[Sighting] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def saw(self, step: Step, at: float, detail: str) -> None:
        """Record a step of the rollout that is under way; before the first one, nothing is recorded."""
        if not self.release:
            return
        sighting = Sighting(release=self.release, step=step, at=at, detail=detail)
        self.sightings.append(sighting)
        self.told(self, sighting)

    def of(self, release: str, step: Step | None = None) -> list[Sighting]:
        """The sightings of one rollout, or those of one of its steps."""
        return [one for one in self.sightings if one.release == release and step in {None, one.step}]

    def since_s(self, at: float) -> float:
        """Seconds from the first sighting to `at`."""
        return at - self.sightings[0].at if self.sightings else 0.0


class Expected(Struct, frozen=True, kw_only=True):
    """What the policy promises: the shares of the stages in order, and the breaches in a row at which a gate stops.

    `good` and `bad` are the headlines that people must read of a good and of a bad release, each once.
    """

    shares: tuple[str, ...]
    breaches: Mapping[str, int]
    good: tuple[str, ...]
    bad: tuple[str, ...]


ONCE = (
    Step.BEGIN,
    Step.DEPLOYED,
    Step.TAKEN_BACK,
    Step.NO_TRAFFIC,
    Step.NO_SESSIONS,
    Step.FROZEN,
    Step.ROLLED_BACK,
    Step.ENDED,
    Step.UNFROZEN,
)
"""What must be seen exactly once of a bad release."""

ORDER = (Step.BEGIN, Step.DEPLOYED, Step.TRAFFIC, Step.TAKEN_BACK, Step.NO_TRAFFIC, Step.ENDED, Step.UNFROZEN)
"""Causes before effects."""

NEVER_GOOD = (Step.TAKEN_BACK, Step.FROZEN, Step.ROLLED_BACK, Step.ALERT, Step.UNFROZEN)
"""What must not be seen of a good release."""

CLOCKS_DIFFER_S = 0.5
"""Traffic and phases are looked at some times a second, each on its own."""


def complaints(act: Act, record: Record, expected: Expected) -> tuple[str, ...]:
    """Everything that did not go as said in one act; empty if all went well."""
    outcome = record.outcomes.get(act.release)
    if outcome is None:
        return ("the rollout did not end in time",)
    found = _bad(act, record, outcome, expected) if act.bad else _good(act, record, outcome, expected)
    heard = [one.detail for one in record.of(act.release, Step.TOLD)]
    wanted = expected.bad if act.bad else expected.good
    return (*found, *(f"Slack heard {heard.count(one)} times: {one}" for one in wanted if heard.count(one) != 1))


def _good(act: Act, record: Record, outcome: Outcome, expected: Expected) -> list[str]:
    found = []
    if (outcome.phase, outcome.exit_code) != ("done", 0):
        found.append(f"the rollout ended {outcome.phase} with exit code {outcome.exit_code}: {outcome.why}")
    seen = [one.detail for one in record.of(act.release, Step.TRAFFIC)]
    if seen != list(expected.shares):
        found.append(f"HAProxy gave {', '.join(seen) or 'nothing'}, not {', '.join(expected.shares)}")
    found += [f"unexpected: {step}" for step in NEVER_GOOD if record.of(act.release, step)]
    if outcome.failed:
        found.append(f"{outcome.failed} of {outcome.sent} requests failed")
    if outcome.rollback_starts:
        found.append(f"the rollback script started {outcome.rollback_starts} times")
    return found


def _bad(act: Act, record: Record, outcome: Outcome, expected: Expected) -> list[str]:
    found = []
    if (outcome.phase, outcome.exit_code) != ("rolled_back", 1):
        found.append(f"the rollout ended {outcome.phase} with exit code {outcome.exit_code}: {outcome.why}")
    if not outcome.why.startswith(f"gate {act.gate}:"):
        found.append(f"not the gate {act.gate} stopped the release, but: {outcome.why or 'nothing'}")
    elif outcome.streak != expected.breaches[act.gate]:
        found.append(f"{outcome.streak} breaches in a row, not {expected.breaches[act.gate]}")
    if outcome.rollback_starts != 1:
        found.append(f"the rollback script started {outcome.rollback_starts} times")
    wanted = {**dict.fromkeys(ONCE, 1), Step.ALERT: int(act.fault is Fault.ERRORS)}
    for step, times in wanted.items():
        count = len(record.of(act.release, step))
        if count != times:
            found.append(f"seen {count} times, not {times}: {step}")
    first = [(step, seen[0].at) for step in ORDER if (seen := record.of(act.release, step))]
    found += [
        f"{effect} came before {cause}"
        for (cause, begun), (effect, followed) in pairwise(first)
        if followed + CLOCKS_DIFFER_S < begun
    ]
    return found
