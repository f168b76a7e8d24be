"""Whether `routing` names only existing teams, alerts and channels, and whether each alert reaches somebody."""

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
    """Report unknown names, and alerts that reach nobody."""
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
                    spec,
                    problems,
                    "routing/unknown-team",
                    route.position,
                    kind="team",
                    name=target.team,
                    known=routing.teams,
                )
            continue
        for medium in target.by:
            if not team.address(medium):
                hint = f"add `{medium}: …` under routing.teams.{team.name}"
                problems.add(
                    "routing/no-address",
                    route.position,
                    f"the route tells the team {team.name} by {medium}, but the team has no such address",
                    hint,
                )
        if not target.media(team):
            hint = 'add `slack: "#channel"`, `email: …` or `pagerduty: …`'
            problems.add("routing/no-address", team.position, f"the team {team.name} has no address", hint)
    known = [muted.name for muted in routing.mute_times]
    for name in (*route.mute, *route.active):
        if name not in known:
            report_unknown(
                spec, problems, "routing/unknown-mute-time", route.position, kind="mute time", name=name, known=known
            )
    static = {label for label, _ in route.match} <= {"alertname", names.SEVERITY, names.TEAM, names.SLO, names.TIER}
    if static and not spec.broken and not any(route.takes(labels) for labels in alert_labels.of(spec)):
        problems.add(
            "routing/never",
            route.position,
            "no alert of the spec matches this route",
            "remove the route, or correct `match`",
            warning=True,
        )


def _check_inhibitions(spec: Spec, routing: Routing, problems: Problems) -> None:
    known = known_alerts(spec)
    silences: dict[str, set[str]] = {}
    for inhibition in routing.inhibit:
        for name in (inhibition.cause, *inhibition.symptoms):
            if name and name not in known | spec.broken.keys():
                report_unknown(
                    spec, problems, "routing/unknown-alert", inhibition.position, kind="alert", name=name, known=known
                )
        silences.setdefault(inhibition.cause, set()).update(inhibition.symptoms)
    for inhibition in routing.inhibit:
        if _reaches(inhibition.cause, inhibition.cause, silences):
            hint = f"remove {inhibition.cause} from `symptoms`, or remove one of the inhibitions"
            message = f"{inhibition.cause} silences itself through the inhibitions of this spec"
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
    """Report rules that an inhibition hides: Alertmanager does not send an inhibited alert to the receiver either."""
    labels = alert_labels.of(spec)
    causes = [one for one in labels if one["alertname"] == inhibition.cause]
    for rule in spec.policy:
        hidden = {one["alertname"] for one in labels if begins(rule, one)} & set(inhibition.symptoms)
        if hidden and not any(begins(rule, cause) for cause in causes):
            hint = f"add a rule `on: {{alert: {inhibition.cause}}}`, or remove the alert from `symptoms`"
            message = f"while {inhibition.cause} fires, {', '.join(sorted(hidden))} cannot start the rule {rule.id}"
            problems.add("routing/hides-policy", inhibition.position, message, hint, warning=True)


def _check_escalation(spec: Spec, routing: Routing, problems: Problems) -> None:
    for level in routing.escalation:
        team = routing.teams.get(level.to)
        if team is None:
            if level.to not in spec.broken:
                report_unknown(
                    spec,
                    problems,
                    "routing/unknown-team",
                    level.position,
                    kind="team",
                    name=level.to,
                    known=routing.teams,
                )
        elif not channels_of(team):
            hint = 'add `slack: "#channel"`, `email: …`, `pagerduty: …` or `channels: [log]`'
            problems.add(
                "routing/no-address",
                team.position,
                f"the escalation tells the team {team.name}, which has neither an address nor a channel",
                hint,
            )
    if not spec.broken:
        _check_escalates(spec, routing, problems)


def _check_escalates(spec: Spec, routing: Routing, problems: Problems) -> None:
    begun = {
        labels[names.SEVERITY] for labels in alert_labels.of(spec) if any(begins(rule, labels) for rule in spec.policy)
    }
    for level in routing.escalation:
        if level.severities and not begun & set(level.severities):
            example = f"{{on: {{severity: {level.severities[0]}}}, do: [tell]}}"
            hint = f"add a policy rule, such as `{example}`"
            of_what = " or ".join(level.severities)
            message = (
                f"nobody is ever told at level {level.level}: no policy rule starts on an alert of severity {of_what}"
            )
            problems.add("routing/escalation", level.position, message, hint, warning=True)


def _check_owner(spec: Spec, routing: Routing, problems: Problems) -> None:
    team = routing.teams.get(spec.owner.team)
    if team is None:
        return
    owner = owner_team(spec.owner, team.position)
    for medium in owner.media:
        if team.address(medium) and team.address(medium) != owner.address(medium):
            hint = f"remove `{medium}` here, or under `owner`"
            message = f"{team.name} has {medium} {team.address(medium)} here, but {owner.address(medium)} under `owner`"
            problems.add("routing/two-addresses", team.position, message, hint)


def check_told(spec: Spec, problems: Problems) -> None:
    """Warn of alerts that reach nobody: no route, no address of the owner, and no notice of the receiver."""
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
        hint = f'add an address under `owner:`, such as `slack: "#{spec.owner.team}"`, or add a route'
        problems.add("routing/unheard", position, f"no person is told of {', '.join(unheard)}", hint, warning=True)
