"""The page's content as plain texts: frozen services with reasons, episodes, actions, dead letters, decisions. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from receiver.decide.escalate import open_for
from receiver.decide.model import EMPTY, FINAL_STATES, Action, ActionState, ActionType, Episode, FreezeReason, Recorded
from receiver.decide.plan import BY_OPERATOR, unfreeze_when
from receiver.policy.model import Policies
from receiver.report import OfService, Standing, problems_of

CANCELLABLE = {
    ActionType.ROLLBACK: frozenset({ActionState.PENDING, ActionState.STARTING, ActionState.RUNNING}),
    ActionType.SWITCH: frozenset({ActionState.RETRY_WAIT}),
    ActionType.SWITCH_BACK: frozenset({ActionState.RETRY_WAIT}),
    ActionType.NOTIFY: frozenset({ActionState.PENDING, ActionState.RETRY_WAIT}),
}


class Instant(Struct, frozen=True, kw_only=True):
    """A time for people: `iso` in UTC, `ago` how long ago."""

    iso: str
    ago: str


class Reason(Struct, frozen=True, kw_only=True):
    """Why a service is frozen."""

    alert: str
    rule: str
    text: str
    since: Instant
    unfreeze_when: str
    on_disk: bool


class Service(Struct, frozen=True, kw_only=True):
    """One service. A service that is not frozen has no `reasons`; `more_reasons` counts those that are not shown.

    `problems` says what did not go as it should.
    """

    name: str
    reasons: tuple[Reason, ...]
    more_reasons: int
    flags: tuple[str, ...]
    since: Instant | None
    open: int
    acknowledged_by: str
    on_disk: bool
    problems: tuple[str, ...]

    @property
    def frozen(self) -> bool:
        """Whether deployments of the service must stop, whether or not the flag that says this is on disk."""
        return bool(self.reasons)


class OpenEpisode(Struct, frozen=True, kw_only=True):
    """One open episode."""

    id: str
    service: str
    alert: str
    severity: str
    state: str
    rule: str
    reason: str
    opened: Instant
    acknowledged_by: str


class Running(Struct, frozen=True, kw_only=True):
    """One unfinished action."""

    id: str
    type: str
    name: str
    service: str
    state: str
    attempt: int
    since: Instant
    cancellable: bool


class Lost(Struct, frozen=True, kw_only=True):
    """One dead letter."""

    id: str
    channel: str
    service: str
    event: str
    error: str
    at: Instant


class Decided(Struct, frozen=True, kw_only=True):
    """One decision."""

    seq: int
    at: Instant
    kind: str
    sentence: str


class Board(Struct, frozen=True, kw_only=True):
    """Everything on the page. Frozen services come first."""

    at: str
    seq: int
    problems: tuple[str, ...]
    services: tuple[Service, ...]
    episodes: tuple[OpenEpisode, ...]
    more_episodes: int
    running: tuple[Running, ...]
    lost: tuple[Lost, ...]
    decided: tuple[Decided, ...]

    @property
    def frozen(self) -> tuple[Service, ...]:
        """The frozen services."""
        return tuple(service for service in self.services if service.frozen)

    @property
    def cards(self) -> tuple[Service, ...]:
        """The frozen services, and then other services with problems."""
        return (*self.frozen, *(service for service in self.services if service.problems and not service.frozen))

    @property
    def free(self) -> tuple[Service, ...]:
        """The services that are not frozen and have no problem."""
        return tuple(service for service in self.services if not service.frozen and not service.problems)


def board(
    standing: Standing,
    decisions: Sequence[Recorded],
    policies: Policies,
    *,
    now: datetime,
    faults: Mapping[str, str] = EMPTY,
    problems: Sequence[str] = (),
) -> Board:
    """Arrange the standing for people. `decisions` come in their order; the page shows the newest first.

    `faults` says why a flag is not on disk as the journal wants, by flag. `problems` are the receiver's own.
    """
    names = {policy.service for policy in policies.in_force} | set(standing.flags.values())
    found = standing.by_service()
    names |= set(found)
    services = [
        _service(name, found.get(name, OfService()), standing, policies, now=now, faults=faults)
        for name in sorted(names)
    ]
    return Board(
        at=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        seq=standing.seq,
        problems=tuple(problems),
        services=tuple(sorted(services, key=lambda service: not service.frozen)),
        episodes=tuple(_episode(episode, now) for episode in standing.live),
        more_episodes=sum(number for _, _, number in standing.counts) - len(standing.live),
        running=tuple(_running(action, now) for action in standing.unfinished if action.state not in FINAL_STATES),
        lost=tuple(_lost(action, now) for action in standing.dead_letters),
        decided=tuple(_decided(one, now) for one in reversed(decisions)),
    )


def _service(
    name: str, found: OfService, standing: Standing, policies: Policies, *, now: datetime, faults: Mapping[str, str]
) -> Service:
    freeze_reasons = found.freeze_reasons
    flags = tuple(sorted({freeze_reason.flag for freeze_reason in freeze_reasons}))
    return Service(
        name=name,
        reasons=tuple(
            _reason(freeze_reason, standing.episodes.get(freeze_reason.episode), policies, now)
            for freeze_reason in freeze_reasons
        ),
        more_reasons=found.held - len(freeze_reasons),
        flags=flags,
        since=_instant(min(freeze_reason.since for freeze_reason in freeze_reasons), now) if freeze_reasons else None,
        open=found.open,
        acknowledged_by=next((episode.acked_by for episode in found.live if episode.acked_by), ""),
        on_disk=standing.missing.isdisjoint(flags),
        problems=tuple(problems_of(name, standing, flags, faults)),
    )


def _reason(freeze_reason: FreezeReason, episode: Episode | None, policies: Policies, now: datetime) -> Reason:
    return Reason(
        alert=(episode.alert if episode else "") or "frozen by hand",
        rule=f"{episode.policy}/{episode.rule}" if episode else "",
        text=freeze_reason.reason,
        since=_instant(freeze_reason.since, now),
        unfreeze_when=_unfreeze_when(episode, policies),
        on_disk=freeze_reason.written_at is not None,
    )


def _unfreeze_when(episode: Episode | None, policies: Policies) -> str:
    policy = policies.by_sha256.get(episode.policy_sha256) if episode else None
    rule = policy.rule(episode.rule) if policy and episode else None
    return unfreeze_when(rule.unfreeze) if rule else BY_OPERATOR


def _episode(episode: Episode, now: datetime) -> OpenEpisode:
    return OpenEpisode(
        id=episode.id,
        service=episode.service,
        alert=episode.alert or "frozen by hand",
        severity=episode.severity,
        state=episode.state.value.lower(),
        rule=f"{episode.policy}/{episode.rule}",
        reason=episode.reason,
        opened=_instant(episode.opened_at, now),
        acknowledged_by=episode.acked_by,
    )


def _running(action: Action, now: datetime) -> Running:
    return Running(
        id=action.id,
        type=action.type.value,
        name=action.name,
        service=action.service,
        state=action.state.value.lower().replace("_", " "),
        attempt=action.attempt,
        since=_instant(action.created_at, now),
        cancellable=action.state in CANCELLABLE.get(action.type, frozenset()),
    )


def _lost(action: Action, now: datetime) -> Lost:
    return Lost(
        id=action.id,
        channel=action.name,
        service=action.service,
        event=action.payload.get("event", ""),
        error=action.result.get("error", ""),
        at=_instant(action.created_at, now),
    )


def _decided(one: Recorded, now: datetime) -> Decided:
    return Decided(seq=one.seq, at=_instant(one.at, now), kind=one.decision.kind, sentence=one.decision.sentence)


def _instant(at: datetime, now: datetime) -> Instant:
    span = now - at
    ago = f"{max(0, int(span.total_seconds()))} s" if span < timedelta(minutes=1) else open_for(span)
    return Instant(iso=at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"), ago=ago)
