"""The page of all services: frozen or free, budgets, alerts, rollout and last rollback; the worst comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from receiver.decide.model import Action, ActionState, FreezeReason
from receiver.http.page.facts import Facts
from receiver.http.page.measures import Budget, Measured
from receiver.http.page.words import Instant, instant, lasted, percent
from receiver.http.rollout import configured
from receiver.links import service_page
from receiver.report import OfService, problems_of
from receiver.rollouts import Rollout

SHOWN_MAX = 100
"""The most services on one page, unless the visitor asks for all."""

SLOS_MAX = 4
"""The most SLOs in a service's row: those with the least budget. The service's own page has all of them."""

LOW = 0.25
"""A budget below this share is drawn as low."""

ROLLBACK_ENDS: Mapping[ActionState, str] = {
    ActionState.SUCCEEDED: "rolled back",
    ActionState.DEAD: "ROLLBACK FAILED",
    ActionState.SKIPPED: "rollback not started",
}


class Left(Struct, frozen=True, kw_only=True):
    """One budget. `width` is the bar's, from 0 to 100; `level` is good, low, spent or unknown."""

    slo: str
    text: str
    width: float
    level: str
    runs_out: str


class Row(Struct, frozen=True, kw_only=True):
    """One service. `sentence` is its oldest freeze reason; `state` is frozen, failing, trouble or free."""

    name: str
    path: str
    state: str
    since: Instant | None
    free_for: Instant | None
    sentence: str
    more_reasons: int
    problems: tuple[str, ...]
    open: int
    acknowledged_by: str
    budgets: tuple[Left, ...]
    more_budgets: int
    firing: tuple[str, ...]
    more_firing: int
    rollout: str
    rollback: str
    rollback_bad: bool


class Fleet(Struct, frozen=True, kw_only=True):
    """All services. `found` counts those that match the search; `rows` holds the worst of them."""

    rows: tuple[Row, ...]
    found: int
    total: int
    frozen: int
    troubled: int
    search: str
    everything: bool
    measured: str


def fleet(facts: Facts, *, search: str = "", everything: bool = False) -> Fleet:
    """Every service with a policy, a flag, an episode or a running rollout."""
    found = facts.standing.by_service()
    running = {one.service: one for one in facts.rollouts if one.runs}
    seen = [_seen(name, found.get(name, OfService()), running.get(name), facts) for name in facts.services()]
    wanted = search.casefold().split()
    matching = sorted((one for one in seen if not wanted or _has(one, wanted, facts)), key=lambda one: one.rank)
    return Fleet(
        rows=tuple(_row(one, facts) for one in (matching if everything else matching[:SHOWN_MAX])),
        found=len(matching),
        total=len(seen),
        frozen=sum(one.state in {"frozen", "failing"} for one in seen),
        troubled=sum(one.state == "trouble" for one in seen),
        search=search,
        everything=everything,
        measured=said(facts.measured, facts.now),
    )


def said(measured: Measured, now: datetime) -> str:
    """Why budgets and alerts are not fresh; "" if they are."""
    if not measured.asked:
        return "Budgets and firing alerts are unknown: receiver.yaml names no Prometheus."
    if measured.unknown_since is not None:
        since = instant(measured.unknown_since, now)
        return f"Budgets and firing alerts are unknown since {since.iso} UTC ({since.ago}): {measured.why}"
    return "" if measured.at is not None else "Prometheus is being asked for budgets and firing alerts."


class _Seen(Struct, frozen=True, kw_only=True):
    """As much of a service as its place in the list needs. The smallest `rank` is the worst."""

    name: str
    of: OfService
    state: str
    problems: tuple[str, ...]
    oldest: FreezeReason | None
    rollout: Rollout | None
    rank: tuple[object, ...]


def _seen(name: str, of: OfService, rollout: Rollout | None, facts: Facts) -> _Seen:
    flags = {reason.flag for reason in of.freeze_reasons}
    problems = tuple(problems_of(name, facts.standing, sorted(flags), facts.faults))
    state = "trouble" if problems else "free"
    if flags:
        state = "frozen" if facts.standing.unmet.isdisjoint(flags) else "failing"
    known = [one.left for one in facts.measured.budgets.get(name, ()) if one.left is not None]
    firing = name in facts.measured.firing
    return _Seen(
        name=name,
        of=of,
        state=state,
        problems=problems,
        oldest=min(of.freeze_reasons, key=lambda reason: reason.since, default=None),
        rollout=rollout,
        rank=(_ORDER[state], not firing, not of.open, min(known, default=2.0), name),
    )


def _row(seen: _Seen, facts: Facts) -> Row:
    measured, now, of, oldest = facts.measured, facts.now, seen.of, seen.oldest
    budgets = sorted(measured.budgets.get(seen.name, ()), key=lambda one: 2.0 if one.left is None else one.left)
    firing = list(dict.fromkeys(one.alert for one in measured.firing.get(seen.name, ())))
    back = facts.rollbacks.get(seen.name)
    return Row(
        name=seen.name,
        path=service_page(seen.name),
        state=seen.state,
        since=instant(oldest.since, now) if oldest else None,
        free_for=free_for(seen.name, facts) if not oldest else None,
        sentence=oldest.reason if oldest else "",
        more_reasons=of.held - 1 if oldest else 0,
        problems=seen.problems,
        open=of.open,
        acknowledged_by=next((episode.acked_by for episode in of.live if episode.acked_by), ""),
        budgets=tuple(left_of(one, measured) for one in budgets[:SLOS_MAX]),
        more_budgets=max(0, len(budgets) - SLOS_MAX),
        firing=tuple(firing[:3]),
        more_firing=max(0, len(firing) - 3),
        rollout=_rollout(seen.rollout) if seen.rollout else "",
        rollback=_rollback(*back, now) if back else "",
        rollback_bad=back is not None and back[0].state is ActionState.DEAD,
    )


def free_for(service: str, facts: Facts) -> Instant | None:
    """Since when a service has been free; None if the service was never frozen."""
    since = facts.free_since.get(service)
    return instant(since, facts.now) if since else None


def left_of(budget: Budget, measured: Measured) -> Left:
    """One budget for the page. An old answer keeps its number and counts as unknown."""
    if budget.left is None:
        return Left(slo=budget.slo, text="not measured", width=0, level="unknown", runs_out="")
    fresh = measured.unknown_since is None
    level = "spent" if budget.left <= 0 else "low" if budget.left < LOW else "good"
    text = f"{percent(budget.left)} left" if budget.left >= 0 else f"overspent by {percent(-budget.left)}"
    empty_in = budget.empty_in_s if fresh else None
    return Left(
        slo=budget.slo,
        text=text if fresh else f"last known: {text}",
        width=round(min(max(budget.left, 0.0), 1.0) * 100, 1),
        level=level if fresh else "unknown",
        runs_out=f"at this pace gone in {lasted(timedelta(seconds=empty_in))}" if empty_in is not None else "",
    )


def _rollout(rollout: Rollout) -> str:
    phase = rollout.phase.replace("_", " ")
    return f"{rollout.release}: {phase}, stage {rollout.stage + 1} of {len(rollout.stages)}, {configured(rollout):g} %"


def _rollback(action: Action, changed_at: datetime, now: datetime) -> str:
    end = ROLLBACK_ENDS.get(action.state, "rolling back now")
    release = f" {action.payload['release']}" if action.payload.get("release") else ""
    return f"{end}{release}, {lasted(now - changed_at)} ago"


def _has(seen: _Seen, wanted: Iterable[str], facts: Facts) -> bool:
    """Whether a service's name, reason, alerts, SLOs or rollout have all the words of a search."""
    alerts = (one.alert for one in facts.measured.firing.get(seen.name, ()))
    slos = (one.slo for one in facts.measured.budgets.get(seen.name, ()))
    reason, release = seen.oldest.reason if seen.oldest else "", seen.rollout.release if seen.rollout else ""
    text = " ".join((seen.name, reason, seen.state, release, *alerts, *slos)).casefold()
    return all(word in text for word in wanted)


_ORDER = {"failing": 0, "frozen": 1, "trouble": 2, "free": 3}
