"""The page of one service: why in one sentence, what unfreezes and how far, graphs, links and actions. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from msgspec import Struct, field

from receiver.decide.model import EMPTY, Action, ActionState, ActionType, Episode, FreezeReason, Incident, Seen, seconds
from receiver.decide.plan import BY_OPERATOR, is_of_budget, span, wanted
from receiver.http.page.board import OpenEpisode, Running, episode_of, running_of
from receiver.http.page.facts import Facts
from receiver.http.page.graph import Graph, Mark, graph
from receiver.http.page.hosts import HostRow, hosts_of
from receiver.http.page.incidents import Entry, entry
from receiver.http.page.measures import Budget, Course, Firing
from receiver.http.page.rollouts import Card, cards
from receiver.http.page.services import Left, free_for, left_of, said
from receiver.http.page.words import Instant, instant, lasted, percent, web_link
from receiver.policy import model as policy_model
from receiver.policy.model import Escalation, FreezeAction, Policy, RollbackAction, Rule
from receiver.report import OfService, problems_of
from receiver.rollouts import Rollout

MARKED = {ActionType.FREEZE: "frozen", ActionType.ROLLBACK: "rollback of", ActionType.UNFREEZE: "unfrozen"}
"""What the graphs mark beside alerts and releases."""

Held = Mapping[tuple[str, str], Mapping[str, tuple[datetime, datetime]]]
"""By policy and rule: since when each condition to unfreeze is true, and the time of the last check."""


class Condition(Struct, frozen=True, kw_only=True):
    """One condition to unfreeze, and how far it is. `met` says that nothing more is needed."""

    what: str
    state: str
    met: bool


class Why(Struct, frozen=True, kw_only=True):
    """One freeze reason: the sentence of the alert's start, the sentence now, and what ends the reason."""

    alert: str
    rule: str
    sentence: str
    now: str
    since: Instant
    on_disk: bool
    conditions: tuple[Condition, ...]
    review: str
    runbook: str
    dashboard: str
    alert_link: str
    silence_link: str


class Undoable(Struct, frozen=True, kw_only=True):
    """A rollback that ended a moment ago and can still be undone."""

    id: str
    release: str
    left: str


class Page(Struct, frozen=True, kw_only=True):
    """One service."""

    name: str
    known: bool
    frozen: bool
    on_disk: bool
    since: Instant | None
    free_for: Instant | None
    whys: tuple[Why, ...]
    more_reasons: int
    flags: tuple[str, ...]
    hosts: tuple[HostRow, ...]
    problems: tuple[str, ...]
    firing: tuple[Firing, ...]
    budgets: tuple[Left, ...]
    about: tuple[Budget, ...]
    graphs: tuple[tuple[Graph, Graph | None], ...]
    measured: str
    rollouts: tuple[Card, ...]
    episodes: tuple[OpenEpisode, ...]
    more_episodes: int
    running: tuple[Running, ...]
    undoable: tuple[Undoable, ...]
    acknowledged_by: str
    can_acknowledge: bool
    can_freeze: bool
    freezes: tuple[str, ...]
    team: str
    channels: tuple[str, ...]
    levels: tuple[str, ...]
    past: tuple[Entry, ...]


class Own(Struct, frozen=True, kw_only=True):
    """What is known of this service beyond the facts of all: its alerts, its past, and its last rollbacks and freezes.

    `held` says since when conditions to unfreeze are true, `values` what their queries give now. `alertmanager` is the
    address for links.
    """

    course: Course | None
    seen: Mapping[str, Seen]
    held: Held
    past: Sequence[Incident]
    actions: Sequence[Action]
    alertmanager: str = ""
    values: Mapping[str, tuple[Decimal, ...]] = field(default_factory=dict)


def page(name: str, facts: Facts, own: Own) -> Page:
    """Arrange what is known of one service."""
    standing, measured, now = facts.standing, facts.measured, facts.now
    of = standing.by_service().get(name, OfService())
    policies = facts.policies.of_service(name)
    flags = tuple(sorted({reason.flag for reason in of.freeze_reasons}))
    budgets, firing = measured.budgets.get(name, ()), measured.firing.get(name, ())
    mine = [one for one in facts.rollouts if one.service == name]
    marks = [*_marks(own.actions, own.past), *_releases(mine)]
    return Page(
        name=name,
        known=name in facts.services() or bool(own.past or mine),
        frozen=bool(flags),
        on_disk=standing.unmet.isdisjoint(flags),
        since=instant(min(reason.since for reason in of.freeze_reasons), now) if flags else None,
        free_for=free_for(name, facts) if not flags else None,
        whys=tuple(_why(reason, facts, own, firing) for reason in of.freeze_reasons),
        more_reasons=of.held - len(of.freeze_reasons),
        flags=flags,
        hosts=hosts_of(name, standing),
        problems=tuple(problems_of(name, standing, flags, facts.faults)),
        firing=firing,
        budgets=tuple(left_of(one, measured) for one in budgets),
        about=budgets,
        graphs=_graphs(budgets, own.course, marks),
        measured=said(measured, now),
        rollouts=cards(mine, facts.host_now.timestamp()),
        episodes=tuple(episode_of(episode, now) for episode in of.live),
        more_episodes=of.open - len(of.live),
        running=tuple(running_of(one, now) for one in standing.unfinished if one.service == name),
        undoable=_undoable(own.actions, facts),
        acknowledged_by=next((episode.acked_by for episode in of.live if episode.acked_by), ""),
        can_acknowledge=any(not episode.acked_by for episode in of.live),
        can_freeze=not any(one.fingerprint == f"operator:{name}" for one in of.live) and bool(_freezes(policies)),
        freezes=_freezes(policies),
        team=next((one.team for one in budgets if one.team), "") or _team(of.live),
        channels=_channels(policies),
        levels=tuple(_level(one) for policy in policies for one in policy.escalation),
        past=tuple(entry(one, now) for one in own.past),
    )


def _why(reason: FreezeReason, facts: Facts, own: Own, firing: Sequence[Firing]) -> Why:
    episode, now = facts.standing.episodes.get(reason.episode), facts.now
    policy = facts.policies.by_sha256.get(episode.policy_sha256) if episode else None
    rule = policy.rule(episode.rule) if policy and episode else None
    alert = own.seen.get(episode.fingerprint) if episode else None
    links = alert.annotations if alert else EMPTY
    name = episode.alert if episode else ""
    sentence = next((one.sentence for one in firing if one.alert == name and one.sentence), "")
    return Why(
        alert=name or "frozen by hand",
        rule=f"{episode.policy}/{episode.rule}" if rule and episode else "",
        sentence=reason.reason,
        now=sentence if sentence != reason.reason else "",
        since=instant(reason.since, now),
        on_disk=reason.written_at is not None,
        conditions=_conditions(episode, policy, rule, own, now),
        review=instant(episode.review_at, now).iso if episode and episode.review_at else "",
        runbook=web_link(links.get("runbook_url", "")),
        dashboard=web_link(links.get("dashboard_url", "")),
        alert_link=_at_alertmanager(own.alertmanager, "alerts", alert),
        silence_link=_at_alertmanager(own.alertmanager, "silences/new", alert),
    )


def _at_alertmanager(address: str, place: str, alert: Seen | None) -> str:
    """A page of Alertmanager with a filter for an alert."""
    base = web_link(address).rstrip("/")
    if not base or alert is None:
        return ""
    matchers = ",".join(
        f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in sorted(alert.labels.items())
    )
    return f"{base}/#/{place}?filter={quote('{' + matchers + '}', safe='')}"


def _conditions(
    episode: Episode | None, policy: Policy | None, rule: Rule | None, own: Own, now: datetime
) -> tuple[Condition, ...]:
    """What must hold, and how far each condition is."""
    if episode is None or rule is None or policy is None:
        return (Condition(what=BY_OPERATOR, state="nobody has yet", met=False),)
    wanted_s = rule.unfreeze.resolved_for_s
    what = f"The alert has been resolved for {span(wanted_s)}" if wanted_s else "The alert is resolved"
    if episode.resolved_at is None or not episode.live or episode.state.value == "OPEN":
        first = Condition(what=what, state="the alert still fires", met=False)
    else:
        left = episode.resolved_at + seconds(wanted_s) - now
        met = left <= timedelta(0)
        state = f"resolved {lasted(now - episode.resolved_at)} ago"
        first = Condition(what=what, state=state if met else f"{state}; {lasted(left)} to go", met=met)
    found = own.held.get((policy.sha256, rule.id), {})
    others = (_condition(one, found.get(one.id), own.values.get(one.query), now) for one in rule.unfreeze.all_of)
    return (first, *others)


def _condition(
    condition: policy_model.Condition,
    true: tuple[datetime, datetime] | None,
    values: tuple[Decimal, ...] | None,
    now: datetime,
) -> Condition:
    what, present = wanted(condition), _present(condition, values)
    what = f"{what[0].upper()}{what[1:]}"
    if true is None:
        state = present or "not true, or not checked while the alert fires"
        return Condition(what=what, state=state, met=False)
    left = true[0] + seconds(condition.held_for_s) - now
    met = left <= timedelta(0)
    state = f"{f'{present}; ' if present else ''}true for {lasted(now - true[0])}"
    return Condition(what=what, state=state if met else f"{state}; {lasted(left)} to go", met=met)


def _present(condition: policy_model.Condition, values: tuple[Decimal, ...] | None) -> str:
    """The present value that is furthest from the condition, such as `7.5 % now`; "" while unknown."""
    if values is None:
        return ""
    if not values or any(value.is_nan() for value in values):
        return "not measured now"
    worst = float(max(values) if condition.op in {"<", "<="} else min(values))
    return f"{percent(worst) if is_of_budget(condition) else f'{worst:.6g}'} now"


def _graphs(
    budgets: Sequence[Budget], course: Course | None, marks: Sequence[Mark]
) -> tuple[tuple[Graph, Graph | None], ...]:
    if course is None:
        return ()
    left = {line.slo: line.points for line in course.budgets}
    allowed = {one.slo: one.allowed for one in budgets}
    return tuple(
        (
            graph(
                f"{line.slo}: error ratio over 5 min",
                line.points,
                start_s=course.start_s,
                end_s=course.end_s,
                shown=percent,
                limit=allowed.get(line.slo),
                marks=marks,
            ),
            graph(
                f"{line.slo}: budget left",
                left[line.slo],
                start_s=course.budget_start_s,
                end_s=course.end_s,
                shown=percent,
                marks=marks,
            )
            if line.slo in left
            else None,
        )
        for line in course.ratios
    )


def _marks(actions: Sequence[Action], past: Sequence[Incident]) -> list[Mark]:
    found = [Mark(at=one.opened_at, kind="alert", text=f"alert {one.first.alert or 'by hand'}") for one in past]
    for one in actions:
        if one.type in MARKED and one.state is not ActionState.SKIPPED:
            release = one.payload.get("release", "") if one.type is ActionType.ROLLBACK else ""
            text = f"{MARKED[one.type]} {release}".strip()
            found.append(Mark(at=one.created_at, kind=one.type.value, text=text))
    return found


def _releases(rollouts: Iterable[Rollout]) -> list[Mark]:
    return [
        Mark(at=datetime.fromtimestamp(one.begun_at, UTC), kind="release", text=f"rollout of {one.release}")
        for one in rollouts
    ]


def _undoable(actions: Sequence[Action], facts: Facts) -> tuple[Undoable, ...]:
    """Rollbacks whose time for an undo is not over."""
    undone = {one.payload.get("of") for one in (*facts.standing.unfinished, *actions) if one.type is ActionType.UNDO}
    found = []
    for one in actions:
        policy = facts.policies.by_sha256.get(one.payload.get("policy", ""))
        spec = policy.actions.get(one.name) if policy else None
        started = one.result.get("started_at")
        if one.state is not ActionState.SUCCEEDED or one.id in undone or not isinstance(spec, RollbackAction):
            continue
        if spec.undo is None or spec.undo.check is None or started is None:
            continue
        left = datetime.fromisoformat(started) + timedelta(seconds=spec.undo.within_s) - facts.now
        if left > timedelta(0):
            found.append(Undoable(id=one.id, release=one.payload.get("release", ""), left=lasted(left)))
    return tuple(found)


def _freezes(policies: Sequence[Policy]) -> tuple[str, ...]:
    flags = (one.flag for policy in policies for one in policy.actions.values() if isinstance(one, FreezeAction))
    return tuple(dict.fromkeys(flags))


def _channels(policies: Sequence[Policy]) -> tuple[str, ...]:
    names = (channel for policy in policies for one in policy.notifies(policy.actions) for channel in one.channels)
    return tuple(dict.fromkeys(names))


def _level(level: Escalation) -> str:
    to = f"{level.to}: " if level.to else ""
    return f"after {span(level.after_s)}, {to}{', '.join(level.channels)}"


def _team(live: Sequence[Episode]) -> str:
    return next((episode.labels["team"] for episode in live if episode.labels.get("team")), "")
