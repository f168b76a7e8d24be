"""Whether `routing` names only teams, alerts and channels that exist, and whether somebody hears of each alert."""

from __future__ import annotations

from collections.abc import Mapping

from freezeline.problems import Problems
from generator import names
from generator.checks.policy import known_alerts, report_unknown
from generator.model import alert_labels
from generator.model.actions import NotifyAction
from generator.model.alert_labels import begins
from generator.model.routing import Inhibition, Route, Routing
from generator.model.spec import Spec
from generator.model.teams import channels_of, owner_team


def check(spec: Spec, problems: Problems) -> None:
    """Report routing that names what the spec does not have, and alerts of which nobody would hear."""
    routing = spec.routing
    if routing is not None:
        for route in routing.routes:
            _check_route(spec, routing, route, problems)
        _check_inhibitions(spec, routing, problems)
        _check_escalation(spec, routing, problems)
        _check_owner(spec, routing, problems)
    check_told(spec, problems)


def _check_route(spec: Spec, routing: Routing, route: Route, problems: Problems) -> None:
    for target in route.to:
        team = routing.teams.get(target.team)
        if team is None:
            if target.team not in spec.broken:
                report_unknown(
                    problems, "routing/unknown-team", route.position, kind="team", name=target.team, known=routing.teams
                )
            continue
        for medium in target.by:
            if not team.address(medium):
                hint = f"add `{medium}:` to routing.teams.{team.name}"
                problems.add("routing/no-address", route.position, f"{team.name} has no {medium} address", hint)
        if not target.media(team):
            hint = "add `slack:`, `email:` or `pagerduty:`"
            problems.add("routing/no-address", team.position, f"{team.name} has no address", hint)
    known = [muted.name for muted in routing.mute_times]
    for name in (*route.mute, *route.active):
        if name not in known:
            report_unknown(
                problems, "routing/unknown-mute-time", route.position, kind="mute time", name=name, known=known
            )
    static = {label for label, _ in route.match} <= {"alertname", names.SEVERITY, names.TEAM, names.SLO, names.TIER}
    if static and not spec.broken and not any(route.takes(labels) for labels in alert_labels.of(spec)):
        problems.add(
            "routing/never", route.position, "no alert of the spec goes here", "remove it or mend `match`", warning=True
        )


def _check_inhibitions(spec: Spec, routing: Routing, problems: Problems) -> None:
    known = known_alerts(spec)
    silences: dict[str, set[str]] = {}
    for inhibition in routing.inhibit:
        for name in (inhibition.cause, *inhibition.symptoms):
            if name and name not in known | spec.broken:
                report_unknown(
                    problems, "routing/unknown-alert", inhibition.position, kind="alert", name=name, known=known
                )
        silences.setdefault(inhibition.cause, set()).update(inhibition.symptoms)
    for inhibition in routing.inhibit:
        if _reaches(inhibition.cause, inhibition.cause, silences):
            hint = "both would be silent while both fire; decide which one is the cause"
            message = f"{inhibition.cause} is, in the end, a symptom of itself"
            problems.add("routing/inhibit-cycle", inhibition.position, message, hint)
        _check_hidden(spec, inhibition, problems)


def _reaches(start: str, goal: str, silences: Mapping[str, set[str]]) -> bool:
    pending, seen = list(silences.get(start, ())), set[str]()
    while pending:
        name = pending.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            pending += silences.get(name, ())
    return False


def _check_hidden(spec: Spec, inhibition: Inhibition, problems: Problems) -> None:
    """Alertmanager hides an inhibited alert from the receiver as well: a policy on it would not begin."""
    labels = alert_labels.of(spec)
    causes = [one for one in labels if one["alertname"] == inhibition.cause]
    for rule in spec.policy:
        hidden = {one["alertname"] for one in labels if begins(rule, one)} & set(inhibition.symptoms)
        if hidden and not any(begins(rule, cause) for cause in causes):
            hint = f"add a rule for {inhibition.cause}, or take the symptom out of the inhibition"
            message = f"while {inhibition.cause} fires, {', '.join(sorted(hidden))} cannot begin the rule {rule.id}"
            problems.add("routing/hides-policy", inhibition.position, message, hint, warning=True)


def _check_escalation(spec: Spec, routing: Routing, problems: Problems) -> None:
    for level in routing.escalation:
        team = routing.teams.get(level.to)
        if team is None:
            if level.to not in spec.broken:
                report_unknown(
                    problems, "routing/unknown-team", level.position, kind="team", name=level.to, known=routing.teams
                )
        elif not channels_of(team):
            hint = "add `slack:`, `email:`, `pagerduty:` or `channels:`"
            problems.add("routing/no-address", team.position, f"{team.name} cannot be told", hint)
    if not spec.broken:
        _check_escalates(spec, routing, problems)


def _check_escalates(spec: Spec, routing: Routing, problems: Problems) -> None:
    begun = {
        labels[names.SEVERITY] for labels in alert_labels.of(spec) if any(begins(rule, labels) for rule in spec.policy)
    }
    for level in routing.escalation:
        if level.severities and not begun & set(level.severities):
            example = f"{{on: {{severity: {level.severities[0]}}}, do: [tell]}}"
            hint = f"an incident begins with a policy rule, such as `{example}`"
            of_what = " or ".join(level.severities)
            message = f"level {level.level} is never told: no policy rule begins with an alert that is {of_what}"
            problems.add("routing/escalation", level.position, message, hint, warning=True)


def _check_owner(spec: Spec, routing: Routing, problems: Problems) -> None:
    team = routing.teams.get(spec.owner.team)
    if team is None:
        return
    owner = owner_team(spec.owner, team.position)
    for medium in owner.media:
        if team.address(medium) and team.address(medium) != owner.address(medium):
            hint = "write it in one place only"
            message = f"{team.name}'s {medium} is {team.address(medium)} here and {owner.address(medium)} under `owner`"
            problems.add("routing/two-addresses", team.position, message, hint)


def check_told(spec: Spec, problems: Problems) -> None:
    """Warn of alerts that reach nobody: neither a route, nor an owner with an address, nor a notice of the receiver."""
    if spec.broken or spec.owner.addressed:
        return
    routes = spec.routing.routes if spec.routing else ()
    telling = [
        rule for rule in spec.policy if any(isinstance(spec.actions.get(name), NotifyAction) for name in rule.do)
    ]
    unheard = sorted(
        {
            f"{labels['alertname']} ({labels[names.SEVERITY]})"
            for labels in alert_labels.of(spec)
            if not any(route.takes(labels) for route in routes) and not any(begins(rule, labels) for rule in telling)
        }
    )
    if unheard:
        position = spec.routing.position if spec.routing else spec.owner.position
        hint = "give the owner an address (`slack:`, `email:`, `pagerduty:`), or add a route"
        problems.add("routing/unheard", position, f"nobody is told of {', '.join(unheard)}", hint, warning=True)
