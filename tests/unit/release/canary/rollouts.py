"""A rollout driven event by event: a proxy with a weight, a clock, and what the engine would do."""

from collections.abc import Callable
from decimal import Decimal

from release.canary.machine import step
from release.canary.plan import NOBODY, GatePlan, Plan, StagePlan
from release.canary.state import (
    AskFreeze,
    AskGate,
    Check,
    Checked,
    Command,
    Cut,
    CutTraffic,
    Deploy,
    Deployed,
    Event,
    FreezeAsked,
    GateAnswered,
    LowerWeight,
    Phase,
    RollBack,
    RollbackEnded,
    SetWeight,
    Shifted,
    ShiftFailed,
    Started,
    State,
    Tell,
    Tick,
)
from release.canary.verdict import Measured, Verdict
from release.policy.canary import Approval, Ask, Daily

EVERY_S = 15.0


def stage(
    weight: str,
    watch_s: float = 60,
    *,
    soak: bool = False,
    then: Ask = NOBODY,
    daily: Daily | None = None,
    ab: bool = False,
) -> StagePlan:
    """A stage that asks for two passes of each gate."""
    return StagePlan(
        weight=Decimal(weight), watch_s=watch_s, soak=soak, then=then, daily=daily, needs_ab=ab, least_passes=2
    )


def plan(*stages: StagePlan, start: Ask = NOBODY, no_data_aborts: bool = False, aborts: bool = True) -> Plan:
    """Two gates: `errors` breaks at three breaches in a row, `p95` at two."""
    return Plan(
        stages=stages or (stage("0.1"), stage("0.5"), stage("1", soak=True)),
        gates={
            "errors": GatePlan(consecutive=3, aborts=aborts, window_s=30),
            "p95": GatePlan(consecutive=2, aborts=True, window_s=30),
        },
        every_s=EVERY_S,
        hold_for_s=120,
        no_data_aborts=no_data_aborts,
        deploys=True,
        start=start,
        day_s=86400,
    )


def measured(gate: str, verdict: Verdict, value: str | None = "0.1") -> Measured:
    """One measurement."""
    return Measured(
        gate=gate, verdict=verdict, value=Decimal(value) if value else None, bound=Decimal(1), samples=100, why=""
    )


def both(errors: Verdict = Verdict.PASS, p95: Verdict = Verdict.PASS) -> tuple[Measured, ...]:
    """A measurement of each gate."""
    return measured("errors", errors), measured("p95", p95)


NOTHING = (measured("errors", Verdict.INCONCLUSIVE, None), measured("p95", Verdict.INCONCLUSIVE, None))


class Rollout:
    """The reducer with a world around it. `obey` may be cut off at any command, as a kill does."""

    def __init__(self, made: Plan | None = None) -> None:
        """A rollout that has not begun."""
        self.plan = made or plan()
        self.state = State(rollout="r1", release="v2", stable="v1")
        self.at = 0.0
        self.every_s = EVERY_S
        self.weight = Decimal(0)
        self.frozen: bool | None = False
        self.proxy_is_up = True
        self.gate_says = True
        self.precheck: tuple[str, ...] = ()
        self.deploy_fails = ""
        self.rollback_fails = ""
        self.commands: list[Command] = []
        self.shifts: list[Decimal] = []

    def send(self, event: Event) -> None:
        """One event, and everything that follows from it."""
        self.state, commands = step(self.plan, self.state, event)
        for command in commands:
            self.commands.append(command)
            answer = self.obey(command)
            if answer is not None:
                self.send(answer)

    def obey(self, command: Command) -> Event | None:
        """Do what the engine would do, and give the answer."""
        answers: dict[type, Callable[[], Event | None]] = {
            Check: lambda: Checked(reasons=self.precheck),
            Deploy: lambda: Deployed(why=self.deploy_fails),
            AskFreeze: lambda: FreezeAsked(frozen=self.frozen),
            AskGate: lambda: GateAnswered(at=self.at, go=self.gate_says, why="" if self.gate_says else "not clean"),
            CutTraffic: self._cut,
            RollBack: lambda: RollbackEnded(why=self.rollback_fails),
            Tell: lambda: None,
        }
        if isinstance(command, SetWeight | LowerWeight):
            return self._set(command)
        return answers[type(command)]()

    def _set(self, command: SetWeight | LowerWeight) -> Event | None:
        if not self.proxy_is_up:
            return ShiftFailed(why="no such socket") if isinstance(command, SetWeight) else None
        self.weight = command.weight
        if isinstance(command, LowerWeight):
            return None
        self.shifts.append(command.weight)
        return Shifted(at=self.at)

    def _cut(self) -> Event:
        if not self.proxy_is_up:
            return Cut(why="no such socket")
        self.weight = Decimal(0)
        return Cut()

    def begin(self) -> "Rollout":
        """Start the engine."""
        self.send(Started(at=self.at, weight=self.weight if self.proxy_is_up else None))
        return self

    def tick(self, found: tuple[Measured, ...] = (), *, firing: tuple[str, ...] = (), away: str = "") -> None:
        """The next look."""
        self.at += self.every_s
        weight = self.weight if self.proxy_is_up else None
        event = Tick(at=self.at, weight=weight, measured=found or both(), firing=firing, away=away, frozen=self.frozen)
        self.send(event)

    def ticks(self, count: int, found: tuple[Measured, ...] = ()) -> "Rollout":
        """Several looks that find the same."""
        for _ in range(count):
            self.tick(found)
        return self

    def until(self, *phases: Phase, looks: int = 100) -> "Rollout":
        """Passing looks until one of these phases."""
        for _ in range(looks):
            if self.state.phase in phases:
                return self
            self.tick()
        raise AssertionError(f"still in {self.state.phase} after {looks} looks: {dict(self.state.holds)}")

    def told(self) -> list[str]:
        """What people were told."""
        return [command.what for command in self.commands if isinstance(command, Tell)]

    def count(self, kind: type) -> int:
        """How many commands of a kind were given."""
        return sum(isinstance(command, kind) for command in self.commands)


APPROVAL = Ask(approval=Approval(then="hold"))


def baking(made: Rollout | None = None) -> Rollout:
    """A rollout whose first stage is being watched."""
    return (made or Rollout()).begin().until(Phase.BAKE)
