"""The state of a rollout, the events that change the state, and the commands that the engine then carries out.

All times are Unix seconds; all weights are ratios of the canary.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from release.canary.verdict import Measured, Verdict


class Phase(enum.Enum):
    """Where a rollout stands."""

    PRECHECK = "precheck"
    DEPLOY = "deploy"
    SHIFT = "shift"
    SETTLE = "settle"
    BAKE = "bake"
    EVALUATE = "evaluate"
    SOAK = "soak"
    ABORTING = "aborting"
    SUPERSEDING = "superseding"
    DONE = "done"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    SUPERSEDED = "superseded"


FINAL = frozenset({Phase.DONE, Phase.REFUSED, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.SUPERSEDED})
"""Phases that no event leaves."""

WATCHED = frozenset({Phase.SETTLE, Phase.BAKE, Phase.EVALUATE, Phase.SOAK})
"""Phases in which the canary has traffic that the gates judge."""


class Hold(enum.Enum):
    """Why a rollout does not advance. The gates are judged all the same."""

    PAUSED = "paused"  # a person
    FROZEN = "frozen"  # the service's freeze
    SOURCE = "source"  # Prometheus, the receiver or the proxy does not answer
    SHIFT = "shift"  # the proxy answers, and does not take the new weight
    WEIGHT = "weight"  # the proxy uses another weight than the engine set
    NO_DATA = "no_data"  # a gate has had no verdict for too long
    EVIDENCE = "evidence"  # the stage is over, and has too few events to tell a good release from a bad one
    GATE = "gate"  # the go/no-go gate did not say GO
    BREACH = "breach"  # a gate with `on_breach: hold` broke
    APPROVAL = "approval"  # nobody answered in time


BY_PERSON = frozenset({Hold.PAUSED, Hold.WEIGHT, Hold.BREACH, Hold.APPROVAL})
"""Holds that only a person ends, by `resume`. The others end by themselves."""


class Watched(Struct, frozen=True, kw_only=True):
    """What a gate counted in the windows of a stage that share no event. `beyond` of them were beyond the bound.

    `bad` has no more bad events of a window than prove a breach, `every_bad` has all.
    """

    bad: int = 0
    every_bad: int = 0
    total: int = 0
    beyond: int = 0
    at: float | None = None  # when the newest of the windows ended


class GateState(Struct, frozen=True, kw_only=True):
    """What the engine remembers of one gate within a stage."""

    streak: int = 0
    since: float | None = None  # when the row's first breach was counted
    passes: int = 0
    last: Verdict | None = None
    spoke_at: float | None = None  # when the gate last said PASS or BREACH
    watched: Watched = Watched()


class Answers(Struct, frozen=True, kw_only=True):
    """What was answered to the questions of the stage: at its end, or daily. None: not answered yet."""

    gate: bool | None = None
    gate_asked_at: float | None = None
    approved_by: str = ""
    approval_asked_at: float | None = None
    ab: str = ""  # "", "undecided", "not_worse", "worse", "cannot_tell"


class State(Struct, frozen=True, kw_only=True):
    """Everything that the reducer knows of one rollout. The engine stores this value before it obeys a command."""

    rollout: str
    release: str
    stable: str
    phase: Phase = Phase.PRECHECK
    stage: int = 0
    weight: Decimal = Decimal(0)  # what the proxy is meant to use
    shifted_at: float | None = None
    traffic_since: float | None = None  # when the canary first got traffic
    ticked_at: float | None = None
    baked_s: float = 0.0
    gates: Mapping[str, GateState] = field(default_factory=dict)
    answers: Answers = Answers()
    holds: Mapping[Hold, str] = field(default_factory=dict)
    daily_due: float | None = None
    unsure: bool = False  # before the first shift, the proxy was away: chosen users may be on the canary at weight 0
    cut: bool = False
    rollback_asked: bool = False
    rollback_ended: str | None = None  # empty after a success, else what went wrong
    why: str = ""  # why the rollout ended, or is ending


class NotNow(Exception):  # noqa: N818 - a refusal, which is no error of the engine
    """A person asks for something that cannot be at this moment. The message says why."""


# Events.


class Checked(Struct, frozen=True, kw_only=True):
    """The check before a rollout: reasons why the rollout must not begin, empty if all is well."""

    reasons: tuple[str, ...]


class Deployed(Struct, frozen=True, kw_only=True):
    """The deploy command ended. `why` is empty after a success."""

    why: str


class FreezeAsked(Struct, frozen=True, kw_only=True):
    """Whether the service is frozen, asked just before a shift. None: nobody could tell."""

    frozen: bool | None
    why: str = ""


class Shifted(Struct, frozen=True, kw_only=True):
    """The proxy uses the new weight, as read back."""

    at: float


class ShiftFailed(Struct, frozen=True, kw_only=True):
    """The proxy could not be told, or uses another weight."""

    why: str


class Tick(Struct, frozen=True, kw_only=True):
    """One look at the canary. `weight` None: the proxy does not answer. `firing`: alerts that abort the rollout.

    `away` names a source that did not answer. `frozen` None: nobody could tell.
    """

    at: float
    weight: Decimal | None
    measured: tuple[Measured, ...]
    firing: tuple[str, ...] = ()
    away: str = ""
    frozen: bool | None = False


class GateAnswered(Struct, frozen=True, kw_only=True):
    """The go/no-go gate's answer; anything but GO is False, with the reasons."""

    at: float
    go: bool
    why: str = ""


class AbJudged(Struct, frozen=True, kw_only=True):
    """The A/B test's outcome: "undecided", "not_worse", "worse" or "cannot_tell"."""

    outcome: str
    why: str = ""


class Approved(Struct, frozen=True, kw_only=True):
    """A person agreed to one stage of one rollout."""

    by: str
    rollout: str
    stage: int


class Paused(Struct, frozen=True, kw_only=True):
    """A person asks the engine to wait."""

    by: str


class Resumed(Struct, frozen=True, kw_only=True):
    """A person ends the holds that wait for a person."""

    by: str


class Promoted(Struct, frozen=True, kw_only=True):
    """A person ends the stage's bake and answers its questions. The gates must have passed all the same."""

    by: str


class AbortAsked(Struct, frozen=True, kw_only=True):
    """A person takes the release back."""

    by: str
    reason: str


class NewRelease(Struct, frozen=True, kw_only=True):
    """Another release of the same service is to be rolled out."""

    release: str


class Cut(Struct, frozen=True, kw_only=True):
    """No traffic reaches the canary, as read back. `why` is not empty where that failed."""

    why: str = ""


class RollbackEnded(Struct, frozen=True, kw_only=True):
    """The receiver's rollback succeeded, or failed with `why`."""

    why: str = ""


class Started(Struct, frozen=True, kw_only=True):
    """The engine begins, or begins again after its process ended. `weight` is read, never set."""

    at: float
    weight: Decimal | None


Event = (
    Started
    | Checked
    | Deployed
    | FreezeAsked
    | Shifted
    | ShiftFailed
    | Tick
    | GateAnswered
    | AbJudged
    | Approved
    | Paused
    | Resumed
    | Promoted
    | AbortAsked
    | NewRelease
    | Cut
    | RollbackEnded
)

# Commands.


class Check(Struct, frozen=True, kw_only=True):
    """Run the checks before the rollout."""


class Deploy(Struct, frozen=True, kw_only=True):
    """Run the deploy command."""


class AskFreeze(Struct, frozen=True, kw_only=True):
    """Ask whether the service is frozen."""


class SetWeight(Struct, frozen=True, kw_only=True):
    """Set this weight and read it back."""

    weight: Decimal


class LowerWeight(Struct, frozen=True, kw_only=True):
    """Somebody raised the weight by hand: lower it to this one at once."""

    weight: Decimal


class AskGate(Struct, frozen=True, kw_only=True):
    """Ask the go/no-go gate."""


class CutTraffic(Struct, frozen=True, kw_only=True):
    """Take all traffic off the canary."""


class RollBack(Struct, frozen=True, kw_only=True):
    """Ask the receiver for the rollback, until the receiver has accepted."""

    reason: str


class Tell(Struct, frozen=True, kw_only=True):
    """Tell people. `page` wakes somebody."""

    what: str
    text: str
    page: bool = False


Command = Check | Deploy | AskFreeze | SetWeight | LowerWeight | AskGate | CutTraffic | RollBack | Tell
