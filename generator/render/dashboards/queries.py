"""The queries of dashboards: recorded SLO series, alerts, and the receiver's own metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from generator import names
from generator.model.burn import Profile, Tier
from generator.model.spec import Slo, Spec
from generator.promql.text import quote
from generator.render.links import variable
from generator.units import HOUR, duration_text, promql_number

# The receiver's metrics.
FROZEN = "freezeline_frozen"
EPISODES_OPEN = "freezeline_episodes_open"
ACTION_STATE = "freezeline_action_state"
CANARY_WEIGHT = "freezeline_canary_weight"
DEAD_LETTERS = "freezeline_dead_letters"
REHEARSED_AT = "freezeline_rehearsal_last_success_timestamp_seconds"
REHEARSAL_TOOK = "freezeline_rehearsal_seconds"

# The states of a rollback as numbers. The dashboard shows the highest, therefore a running state hides a finished one.
ROLLBACK_OVER = {1: ("SUCCEEDED",), 2: ("CANCELLED", "SKIPPED"), 3: ("DEAD",)}
ROLLBACK_MOVING = {
    4: ("PENDING", "RETRY_WAIT"),
    5: ("STARTING", "RUNNING", "TIMED_OUT", "INTERRUPTED"),
    6: ("VERIFYING",),
}
PENDING, FIRING = 1, 2

_PACE_WITHOUT_TIERS_MS = HOUR
_SPECIAL = r"[.\\+*?()|\[\]{}^$]"


def equal(**labels: str) -> str:
    """Matchers without their braces: `a="x",b="y"`."""
    return ",".join(f"{name}={quote(value)}" for name, value in labels.items())


def one_of(label: str, values: Iterable[str]) -> str:
    """A matcher for exactly these values."""
    found = list(values)
    if len(found) == 1:
        return equal(**{label: found[0]})
    pattern = "|".join(re.sub(_SPECIAL, r"\\\g<0>", value) for value in found)
    return f"{label}=~{quote(pattern)}"


def pace_ms(profile: Profile) -> int:
    """The window of the present burn rate: the shortest long window of the tiers."""
    return min((tier.long_ms for tier in profile.tiers), default=_PACE_WITHOUT_TIERS_MS)


def pace_ratio(profile: Profile, matchers: str) -> str:
    """The error ratio over that window. Without tiers no rule records it, and the query uses the base rates."""
    if profile.tiers:
        window = equal(**{names.WINDOW: duration_text(pace_ms(profile))})
        return f"{names.ERROR_RATIO}{{{matchers},{window}}}"
    span = duration_text(_PACE_WITHOUT_TIERS_MS)
    parts = (f"avg_over_time({names.base(kind, profile.base_ms)}{{{matchers}}}[{span}])" for kind in names.KINDS)
    return " / ".join(reversed(list(parts)))


def window_s(profile: Profile) -> int:
    """The SLO's window in seconds; nominal for calendar windows."""
    return profile.window.length_ms // 1000


def runs_out_s(profile: Profile, matchers: str, budget: str, labels: Iterable[str]) -> str:
    """Seconds until the budget is spent at the present burn rate, by labels; at most the SLO's window.

    remaining × window / burn rate, because a burn rate of 1 spends the whole budget in one window.
    """
    keep = f"by ({', '.join(labels)})"
    seconds = window_s(profile)
    left = f"clamp_min(min {keep} ({names.ERROR_BUDGET_REMAINING}{{{matchers}}}), 0) * {seconds}"
    burn = f"clamp_min(max {keep} ({pace_ratio(profile, matchers)}) / {budget}, 1e-9)"
    return f"clamp_max({left} / {burn}, {seconds})"


class SloQueries(Struct, frozen=True, kw_only=True):
    """Queries about one SLO, for the chosen groups. A burn rate of 1 spends the budget in the SLO's window."""

    service: str
    scope: str
    slo: Slo

    @property
    def identity(self) -> str:
        """The SLO's matchers, for all groups."""
        return equal(service=self.service, slo=self.slo.name, scope=self.scope)

    @property
    def matchers(self) -> str:
        """The SLO's matchers with the chosen groups."""
        groups = [f'{label}=~"${variable(label)}"' for label in self.slo.group_by]
        return ",".join((self.identity, *groups))

    @property
    def budget(self) -> str:
        """The budget, 1 - objective, as a ratio: one series without labels, comparable with any series."""
        return f"scalar(max({names.ERROR_BUDGET}{{{self.identity}}}))"

    @property
    def objective(self) -> str:
        """The objective as a ratio."""
        return f"1 - max({names.ERROR_BUDGET}{{{self.identity}}})"

    @property
    def sli(self) -> str:
        """The share of good events over the SLO's window, in the worst group."""
        return f"1 - max({names.ERROR_RATIO}{{{self.matchers},{equal(window=names.BUDGET_WINDOW)}}})"

    @property
    def worst_remaining(self) -> str:
        """The part of the budget that is left in the worst group."""
        return f"min({names.ERROR_BUDGET_REMAINING}{{{self.matchers}}})"

    @property
    def remaining(self) -> str:
        """The part of the budget that is left, for each group."""
        keep = f" by ({', '.join(self.slo.group_by)}) " if self.slo.group_by else ""
        return f"min{keep}({names.ERROR_BUDGET_REMAINING}{{{self.matchers}}})"

    @property
    def runs_out_s(self) -> str:
        """Seconds until the first group's budget is spent at the present burn rate."""
        labels = (names.SLO, *self.slo.group_by)
        return f"min({runs_out_s(self.slo.profile, self.matchers, self.budget, labels)})"

    @property
    def pace_burn(self) -> str:
        """The present burn rate, in the worst group."""
        return f"max({pace_ratio(self.slo.profile, self.matchers)}) / {self.budget}"

    def tier_burn(self, tier: Tier) -> str:
        """The burn rate that a tier compares with its factor: the lower of its windows, because both must exceed."""
        windows = one_of(names.WINDOW, (duration_text(tier.long_ms), duration_text(tier.short_ms)))
        ratio = f"min without ({names.WINDOW}) ({names.ERROR_RATIO}{{{self.matchers},{windows}}})"
        return f"max({ratio}) / {self.budget}"

    def tier_share(self, tier: Tier) -> str:
        """How near a tier is to firing: at 1 the tier fires."""
        return f"{self.tier_burn(tier)} / {promql_number(tier.factor)}"


class SpecQueries(Struct, frozen=True, kw_only=True):
    """Queries about all SLOs of a spec (a row for each SLO and group), its alerts, and the receiver."""

    spec: Spec
    scope: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Every label that any SLO is grouped by, in the order of the spec."""
        return tuple(dict.fromkeys(label for slo in self.spec.slos for label in slo.group_by))

    @property
    def row_labels(self) -> tuple[str, ...]:
        """The labels that tell rows apart."""
        return (names.SLO, *self.groups)

    def of(self, slo: Slo) -> SloQueries:
        """The queries about one SLO."""
        return SloQueries(service=self.spec.service, scope=self.scope, slo=slo)

    def _bundles(self) -> list[tuple[Profile, str]]:
        """SLOs that one query can cover: a profile, and matchers for all its SLOs and their chosen groups."""
        bundles: dict[tuple[str, tuple[str, ...]], list[Slo]] = {}
        for slo in self.spec.slos:
            bundles.setdefault((slo.profile.name, slo.group_by), []).append(slo)
        return [(slos[0].profile, self._matchers(slos, group_by)) for (_, group_by), slos in bundles.items()]

    def _matchers(self, slos: list[Slo], group_by: tuple[str, ...]) -> str:
        own = equal(service=self.spec.service, scope=self.scope)
        chosen = one_of(names.SLO, (slo.name for slo in slos))
        groups = [f'{label}=~"${variable(label)}"' for label in group_by]
        return ",".join((own, chosen, *groups))

    def _rows(self, aggregate: str, series: Iterable[str]) -> str:
        return f"{aggregate} by ({', '.join(self.row_labels)}) ({' or '.join(series)})"

    @property
    def _budgets(self) -> str:
        own = equal(service=self.spec.service, scope=self.scope)
        return f"on ({names.SLO}) group_left () max by ({names.SLO}) ({names.ERROR_BUDGET}{{{own}}})"

    @property
    def remaining(self) -> str:
        """The part of the budget that is left, by row."""
        series = (f"{names.ERROR_BUDGET_REMAINING}{{{matchers}}}" for _, matchers in self._bundles())
        return self._rows("min", series)

    @property
    def objective(self) -> str:
        """The objective as a ratio, by row; groups of one SLO share the objective."""
        return f"1 - (0 * {self.remaining} + {self._budgets})"

    @property
    def sli(self) -> str:
        """The share of good events over the SLO's window, by row."""
        window = equal(window=names.BUDGET_WINDOW)
        series = (f"{names.ERROR_RATIO}{{{matchers},{window}}}" for _, matchers in self._bundles())
        return f"1 - {self._rows('max', series)}"

    @property
    def burn(self) -> str:
        """The present burn rate, by row."""
        series = (pace_ratio(profile, matchers) for profile, matchers in self._bundles())
        return f"{self._rows('max', series)} / {self._budgets}"

    @property
    def runs_out_s(self) -> str:
        """Seconds until the budget is spent at the present burn rate, by row."""
        parts = (runs_out_s(profile, matchers, self._budgets, self.row_labels) for profile, matchers in self._bundles())
        return " or ".join(parts)

    # -- alerts

    def alerts(self, *matchers: str) -> str:
        """Alerts of the service, without the watchdog, which always fires."""
        own = (equal(service=self.spec.service), f"alertname!={quote(names.WATCHDOG)}")
        return f"ALERTS{{{','.join((*own, *matchers))}}}"

    def firing_count(self, severity: str) -> str:
        """How many alerts of a severity fire; 0 if none does."""
        return f"count({self.alerts(equal(alertstate='firing', severity=severity))}) or vector(0)"

    @property
    def alert_labels(self) -> tuple[str, ...]:
        """The labels by which alerts are told apart."""
        return ("alertname", names.SEVERITY, names.SLO, names.TIER, *self.groups)

    def began_to_fire(self, *matchers: str) -> str:
        """The times at which alerts began to fire, as marks: shaded areas of many alerts would hide a graph."""
        firing = self.alerts(equal(alertstate="firing"), *matchers)
        return f"max by ({', '.join(self.alert_labels)}) ({firing} unless {firing} offset $__interval)"

    @property
    def alert_states(self) -> str:
        """1 = pending, 2 = firing, by alert."""
        firing, pending = (self.alerts(equal(alertstate=state)) for state in ("firing", "pending"))
        return f"max by ({', '.join(self.alert_labels)}) ({firing} * {FIRING} or {pending} * {PENDING})"

    @property
    def alert_since_ms(self) -> str:
        """Since when each alert is pending or firing."""
        own = f"{equal(service=self.spec.service)},alertname!={quote(names.WATCHDOG)}"
        return f"max by ({', '.join(self.alert_labels)}) (ALERTS_FOR_STATE{{{own}}}) * 1000"

    # -- the receiver. Receivers that share a journal export the same numbers: `max` counts each once

    def receiver(self, metric: str, **labels: str) -> str:
        """One of the receiver's series about this service."""
        return f"{metric}{{{equal(service=self.spec.service, **labels)}}}"

    @property
    def frozen(self) -> str:
        """1 = the service is frozen."""
        return f"max({self.receiver(FROZEN)})"

    def rollback(self, since: str) -> str:
        """What rollbacks are doing now; else how the recent ones ended: a number of `ROLLBACK_…`."""
        moving = (f"({self._rollbacks(states)} > 0) * 0 + {code}" for code, states in ROLLBACK_MOVING.items())
        over = (f"({self._entered(states, since)}) * 0 + {code}" for code, states in ROLLBACK_OVER.items())
        return f"max({' or '.join((*over, *moving))})"

    @property
    def rollback_moves(self) -> str:
        """The times at which a rollback entered a state that people want to see on a graph."""
        shown = ("RUNNING", *(state for states in ROLLBACK_OVER.values() for state in states))
        return f"max by (state) ({self._entered(shown, '$__interval')})"

    def _rollbacks(self, states: Iterable[str]) -> str:
        """How many rollbacks of this service the journal has in each of these states."""
        return f"{self.receiver(ACTION_STATE, type='rollback')[:-1]},{one_of('state', states)}}}"

    def _entered(self, states: Iterable[str], since: str) -> str:
        """The states that more rollbacks are in than a while ago. A series that did not exist then is new."""
        count = self._rollbacks(states)
        return f"{count} > {count} offset {since} or ({count} unless max_over_time({count}[6h] offset {since}))"

    @property
    def incidents(self) -> str:
        """The number of open episodes, by severity. If the receiver reports none, one 0."""
        counted = f"max by ({names.SEVERITY}) ({self.receiver(EPISODES_OPEN)})"
        return f"{counted} or (0 * {self.frozen} unless on () {self.receiver(EPISODES_OPEN)})"

    @property
    def incident_count(self) -> str:
        """How many episodes are open."""
        return f"sum(max by ({names.SEVERITY}) ({self.receiver(EPISODES_OPEN)})) or 0 * {self.frozen}"
