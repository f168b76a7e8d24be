"""Any order of events, kills and orders of people: what a rollout never does."""

from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from release.canary.looks import all_pass
from release.canary.state import (
    FINAL,
    AbJudged,
    AbortAsked,
    Approved,
    Command,
    Event,
    FreezeAsked,
    NewRelease,
    NotNow,
    Paused,
    Phase,
    Promoted,
    Resumed,
    RollBack,
    SetWeight,
    State,
    Tick,
)
from release.canary.verdict import Verdict
from release.policy.canary import Ask
from tests.unit.release.canary.rollouts import APPROVAL, EVERY_S, NOTHING, Rollout, both, plan, stage

PLAN = plan(
    stage("0.05", then=APPROVAL),
    stage("0.1", then=Ask(gate=True)),
    stage("0.5", ab=True),
    stage("1", soak=True),
)
ENDS = [AbortAsked(by="ann", reason="x"), NewRelease(release="v3"), AbJudged(outcome="worse")]
VERDICTS = st.sampled_from(list(Verdict))


class Killed(Exception):  # noqa: N818 - no error
    """The engine dies before it obeys a command."""


class Watched(Rollout):
    """Remembers what stood when a weight was set; dies before a chosen command."""

    def __init__(self) -> None:
        """A rollout that begins."""
        super().__init__(PLAN)
        self.dies_in: int | None = None
        self.last_freeze: bool | None = None
        self.weights_ever = {Decimal(0)}
        self.before = self.state

    def send(self, event: Event) -> None:
        """As the engine: the state first, then the commands."""
        self.before = self.state
        if isinstance(event, FreezeAsked):
            self.last_freeze = event.frozen
        super().send(event)

    def obey(self, command: Command) -> Event | None:
        """Check what must hold at this command, or die before it is obeyed."""
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_in = None
                raise Killed
        if isinstance(command, SetWeight):
            assert self.last_freeze is False
            assert self.state.phase is Phase.SHIFT
            assert command.weight == PLAN.stages[self.state.stage].weight
            assert not {hold.value for hold in self.state.holds} & {"paused", "frozen", "weight", "breach"}
            self.weights_ever.add(command.weight)
        return super().obey(command)


class RolloutMachine(RuleBasedStateMachine):
    """Everything that can happen to a rollout, in any order."""

    def __init__(self) -> None:
        """Begin, with the engine alive."""
        super().__init__()
        self.rollout = Watched()
        self.stages: list[int] = []
        self.passing_before_stage = True
        self.guarded(self.rollout.begin)

    def guarded(self, act: object) -> None:
        """Let the engine begin again after a kill; a person's order may be refused."""
        before = self.rollout.state
        try:
            act()  # type: ignore[operator]
        except NotNow:
            assert self.rollout.state == before
        except Killed:
            self.guarded(self.rollout.begin)
        self.compare(before, self.rollout.state)

    def compare(self, before: State, after: State) -> None:
        """What holds between any two states."""
        if before.phase in FINAL:
            assert after == before
        assert after.stage - before.stage in {0, 1}
        if after.stage > before.stage:
            self.stages.append(after.stage)
        if before.phase is Phase.ABORTING:
            assert after.phase in {Phase.ABORTING, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED}

    @rule(errors=VERDICTS, p95=VERDICTS, pause_s=st.sampled_from([0.0, 0.0, 0.0, 7200.0]))
    def look(self, errors: Verdict, p95: Verdict, pause_s: float) -> None:
        """One look with any verdicts."""
        self.rollout.at += pause_s
        self.guarded(lambda: self.rollout.tick(both(errors, p95)))

    @rule(count=st.integers(1, 12))
    def good_looks(self, count: int) -> None:
        """Looks that pass."""
        for _ in range(count):
            stage_before, passing = self.rollout.state.stage, all_pass(PLAN, self.rollout.state)
            self.guarded(self.rollout.tick)
            if self.rollout.state.stage > stage_before:
                assert passing or all_pass(PLAN, self.rollout.before) or self.rollout.state.phase is not Phase.SHIFT

    @rule()
    def no_data(self) -> None:
        """A look that finds nothing."""
        self.guarded(lambda: self.rollout.tick(NOTHING))

    @rule(frozen=st.sampled_from([True, False, False, None]))
    def freeze(self, frozen: bool | None) -> None:  # noqa: FBT001 - three values
        """The service is frozen, or not, or nobody knows."""
        self.rollout.frozen = frozen

    @rule(up=st.booleans())
    def proxy(self, up: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        """The proxy stops, or answers again."""
        self.rollout.proxy_is_up = up

    @rule(percent=st.sampled_from([0, 5, 50, 90]))
    def weight_by_hand(self, percent: int) -> None:
        """Somebody turns the weight by hand, or a reload resets it."""
        self.rollout.weight = Decimal(percent) / 100

    @rule(go=st.booleans())
    def gate(self, go: bool) -> None:  # noqa: FBT001 - as above
        """What the go/no-go gate says from now on."""
        self.rollout.gate_says = go

    @rule(fails=st.sampled_from(["", "timeout"]))
    def rollback(self, fails: str) -> None:
        """How rollbacks end from now on."""
        self.rollout.rollback_fails = fails

    @rule(after=st.integers(0, 3))
    def dies(self, after: int) -> None:
        """The engine is killed before it obeys one of its next commands."""
        self.rollout.dies_in = after

    @rule()
    def begins_again(self) -> None:
        """The engine's process starts anew."""
        self.guarded(self.rollout.begin)

    @rule(
        event=st.sampled_from(
            [
                Paused(by="ann"),
                Resumed(by="ann"),
                Promoted(by="ann"),
                Approved(by="ann", rollout="r1", stage=0),
                AbJudged(outcome="not_worse"),
                AbJudged(outcome="undecided"),
            ]
        )
    )
    def person(self, event: Event) -> None:
        """An order that may come at any time."""
        self.guarded(lambda: self.rollout.send(event))

    @precondition(lambda self: self.rollout.state.stage >= 2)
    @rule(
        event=st.sampled_from([AbortAsked(by="ann", reason="x"), NewRelease(release="v3"), AbJudged(outcome="worse")])
    )
    def end(self, event: Event) -> None:
        """What ends a rollout; late, so that most runs see several stages."""
        self.guarded(lambda: self.rollout.send(event))

    @invariant()
    def the_canary_has_no_more_traffic_than_meant(self) -> None:
        """Whatever was set is a stage's weight, stages come one by one, and nothing is left after the end."""
        state = self.rollout.state
        assert self.stages == sorted(set(self.stages))
        assert self.rollout.weights_ever <= {Decimal(0), *(one.weight for one in PLAN.stages[: state.stage + 1])}
        if state.phase in {Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.SUPERSEDED}:
            assert state.cut
            assert state.weight == 0
        if state.phase in FINAL:
            assert self.rollout.count(RollBack) <= 1 or self.rollout.state.rollback_ended is not None

    @invariant()
    def a_rollout_can_always_end(self) -> None:
        """With a proxy that answers, an aborting rollout ends at the next look."""
        state = self.rollout.state
        if state.phase in {Phase.ABORTING, Phase.SUPERSEDING} and self.rollout.dies_in is None:
            self.rollout.proxy_is_up = True
            self.rollout.begin()
            self.rollout.send(Tick(at=self.rollout.at + EVERY_S, weight=Decimal(0), measured=both()))
            assert self.rollout.state.phase in FINAL


RolloutMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRollout = RolloutMachine.TestCase
