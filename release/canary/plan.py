"""The plan of a rollout: the policy's stages with their times, as the reducer needs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct

from release.canary.verdict import allowed_share
from release.policy.canary import Approval, Ask, Canary, CanaryGate, Daily, QuantileGate, RatioGate, Traffic


class StagePlan(Struct, frozen=True, kw_only=True):
    """One stage. `watch_s` is its bake, or the soak of the last stage; `needs_ab`: an A/B test must agree."""

    weight: Decimal
    watch_s: float
    soak: bool
    then: Ask
    daily: Daily | None
    needs_ab: bool
    least_passes: int


class WholeStage(Struct, frozen=True, kw_only=True):
    """What all windows of a stage together may prove: a share of bad events above `share`, at `level`.

    At `pass_level`, they must prove that the share is not twice as large; None: nothing must be proven.
    """

    share: Decimal
    level: Decimal
    inflation: Decimal
    pass_level: float | None = None


class GatePlan(Struct, frozen=True, kw_only=True):
    """One gate: `window_s` is how long after a shift its data are only from the new weight.

    The breaches of a row lie `spaced_s` apart, so that one burst of failures cannot fill a row by itself.
    """

    consecutive: int
    spaced_s: float = 0.0
    aborts: bool
    window_s: float
    whole: WholeStage | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that the reducer reads of the policy."""

    stages: tuple[StagePlan, ...]
    gates: Mapping[str, GatePlan]
    every_s: float
    hold_for_s: float
    no_data_aborts: bool
    deploys: bool
    start: Ask
    day_s: float
    chooses_users: bool = False

    @property
    def settle_s(self) -> float:
        """How long after a shift every gate has only data of the new weight."""
        return max((gate.window_s for gate in self.gates.values()), default=0.0)


NOBODY = Ask()
WHENEVER = Approval(then="hold")
DAY_S = 86400.0


def plan_of(canary: Canary, *, speed: float = 1.0) -> Plan:
    """The plan of a policy. `speed` shortens bake, soak and days, for rehearsals, and the evidence that a stage needs.

    Nothing else changes.
    """
    stages = []
    for stage in canary.stages:
        watch_s = (stage.soak_s or stage.bake_s) / speed
        asks_people = stage.ab is not None and stage.ab.then == "approval"
        then = stage.then or NOBODY
        stages.append(
            StagePlan(
                weight=stage.weight,
                watch_s=watch_s,
                soak=stage.soak_s > 0,
                then=Ask(gate=then.gate, approval=then.approval or (WHENEVER if asks_people else None)),
                daily=stage.daily,
                needs_ab=stage.ab is not None,
                least_passes=max(1, int(watch_s / canary.every_s / 2)),
            )
        )
    return Plan(
        stages=tuple(stages),
        gates={
            gate.id: GatePlan(
                consecutive=gate.consecutive,
                spaced_s=gate.spaced_s,
                aborts=gate.on_breach == "abort",
                window_s=gate.over_s + canary.scrape_s,
                whole=_whole(gate, speed),
            )
            for gate in canary.gates
        },
        every_s=canary.every_s,
        hold_for_s=canary.no_data.hold_for_s,
        no_data_aborts=canary.no_data.then == "abort",
        deploys=canary.deploy is not None,
        start=canary.start or NOBODY,
        day_s=DAY_S / speed,
        chooses_users=_chooses_users(canary.traffic),
    )


def _chooses_users(traffic: Traffic | None) -> bool:
    if traffic is None:
        return False
    by_map = traffic.haproxy is not None and traffic.haproxy.users is not None
    return by_map or (traffic.file is not None and bool(traffic.file.users))


def _whole(gate: CanaryGate, speed: float) -> WholeStage | None:
    if not isinstance(gate, RatioGate | QuantileGate):
        return None
    proof = gate.proof
    if proof is None or proof.stage_level is None:
        return None
    share = allowed_share(gate)
    if share is None:
        return None
    return WholeStage(
        share=share,
        level=proof.stage_level,
        inflation=proof.inflation,
        pass_level=None if proof.pass_level is None else float(proof.pass_level) ** (1 / speed),
    )


def next_daily(daily: Daily, after: float, day_s: float = DAY_S) -> float:
    """The next time of a daily question after a moment, in Unix seconds.

    With shortened days there is no clock to go by: the questions are spread evenly over `day_s`.
    """
    if day_s != DAY_S:
        return after + day_s / len(daily.at)
    zone = ZoneInfo(daily.zone)
    today = datetime.fromtimestamp(after, UTC).astimezone(zone).date()
    times = [
        datetime.fromisoformat(f"{today + timedelta(days=days)}T{time}").replace(tzinfo=zone).timestamp()
        for days in (0, 1, 2)
        for time in daily.at
    ]
    return min(time for time in times if time > after)
