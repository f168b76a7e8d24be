"""Alertmanager's receivers for people, and the routes that lead to them.

Each route names the alerts that Freezeline generates: alerts of other rules keep their way, also those of the same
service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from freezeline.problems import Position
from generator import names
from generator.model import alert_labels
from generator.model.routing import Route
from generator.model.spec import Spec
from generator.model.teams import Smtp, Team, channel_name, owner_team
from generator.render.alertmanager.inhibitions import Data, matcher
from generator.units import HOUR, SECOND, duration_text

GROUP_BY = ("service", "alertname", "slo")
GROUP_WAIT_MS = 10 * SECOND
GROUP_INTERVAL_MS = 60 * SECOND
REPEAT_MS = 4 * HOUR
SELF_SERVICE = "freezeline"
_SELF_ALERTS = f'alertname=~"{names.SELF_PREFIX}.+"'


class Address(Struct, frozen=True, kw_only=True):
    """A team and the media by which the team is told: one receiver of Alertmanager."""

    service: str
    team: Team
    media: tuple[str, ...]
    smtp: Smtp | None

    @property
    def plain_name(self) -> str:
        """The receiver's name if no other service uses this name for something else."""
        return "-".join([self.team.name, *self.media])

    @property
    def content(self) -> tuple[object, ...]:
        """The part that makes two receivers equal."""
        return (*(self.team.address(medium) for medium in self.media), self.smtp if "email" in self.media else None)


class PlannedRoute(Struct, frozen=True, kw_only=True):
    """A route to one address. `goes_on`: Alertmanager also looks at the routes after this one.

    `alerts` is a matcher for the names of the alerts.
    """

    match: tuple[tuple[str, tuple[str, ...]], ...]
    alerts: str
    address: Address
    goes_on: bool
    written: Route | None = None  # None: the route comes from the owner


def plan(spec: Spec) -> list[PlannedRoute]:
    """The routes to people of a spec, in order: the spec's routes, then the owner's."""
    service = (names.SERVICE, (spec.service,))
    alerts = matcher("alertname", *sorted({labels["alertname"] for labels in alert_labels.of(spec)}))
    found: list[PlannedRoute] = []
    for route in spec.routing.routes if spec.routing else ():
        addresses = list(_addresses(spec, route))
        for address in addresses:
            goes_on = route.goes_on or address is not addresses[-1]
            match = (service, *route.match)
            found.append(PlannedRoute(match=match, alerts=alerts, address=address, goes_on=goes_on, written=route))
    return found + list(_owner_routes(spec, alerts))


def _addresses(spec: Spec, route: Route) -> Iterable[Address]:
    teams = spec.routing.teams if spec.routing else {}
    smtp = spec.routing.smtp if spec.routing else None
    for target in route.to:
        team = teams[target.team]
        yield Address(service=spec.service, team=team, media=target.media(team), smtp=smtp)


def _owner_routes(spec: Spec, alerts: str) -> Iterable[PlannedRoute]:
    """The owner is told of alerts without another route; only critical alerts page."""
    team = owner_team(spec.owner, Position(spec.file))
    smtp = spec.routing.smtp if spec.routing else None
    quiet = tuple(medium for medium in team.media if medium != "pagerduty")
    service = (names.SERVICE, (spec.service,))
    if "pagerduty" in team.media:
        loud = Address(service=spec.service, team=team, media=team.media, smtp=smtp)
        match = (service, (names.SEVERITY, ("critical",))) if quiet else (service,)
        yield PlannedRoute(match=match, alerts=alerts, address=loud, goes_on=False)
    if quiet:
        calm = Address(service=spec.service, team=team, media=quiet, smtp=smtp)
        yield PlannedRoute(match=(service,), alerts=alerts, address=calm, goes_on=False)


def self_routes(specs: Iterable[Spec]) -> list[PlannedRoute]:
    """Alerts about Freezeline itself go to every service that relies on it: where the service's own alerts go."""
    known = list(specs)
    found: list[PlannedRoute] = []
    for severity in ("critical", "warning"):
        told: dict[tuple[str, tuple[object, ...]], Address] = {}
        for spec in known:
            labels = {names.SERVICE: spec.service, names.SEVERITY: severity, names.TEAM: spec.owner.team}
            for address in _taking(plan(spec), labels):
                told.setdefault((address.plain_name, address.content), address)
        match = ((names.SERVICE, (SELF_SERVICE,)), (names.SEVERITY, (severity,)))
        last = len(told) - 1
        found += [
            PlannedRoute(match=match, alerts=_SELF_ALERTS, address=address, goes_on=index < last)
            for index, address in enumerate(told.values())
        ]
    return found


def _taking(routes: list[PlannedRoute], labels: Mapping[str, str]) -> Iterable[Address]:
    for route in routes:
        if all(labels.get(label, "") in values for label, values in route.match):
            yield route.address
            if not route.goes_on:
                return


def receiver_names(addresses: Iterable[Address]) -> dict[Address, str]:
    """Each address's receiver: `team-email-slack`, or `service.team-email-slack` if services differ about the name."""
    by_name: dict[str, set[tuple[object, ...]]] = {}
    known = dict.fromkeys(addresses)
    for address in known:
        by_name.setdefault(address.plain_name, set()).add(address.content)
    return {
        address: address.plain_name
        if len(by_name[address.plain_name]) == 1
        else f"{address.service}.{address.plain_name}"
        for address in known
    }


def receiver(name: str, address: Address, secrets: str) -> Data:
    """The receiver of an address."""
    found: Data = {"name": name}
    for medium in address.media:
        if medium == "email":
            found["email_configs"] = [_email(address, secrets)]
        elif medium == "slack":
            found["slack_configs"] = [_slack(address.team.slack, secrets)]
        else:
            found["pagerduty_configs"] = [_pagerduty(address.team.pagerduty, secrets)]
    return found


def _email(address: Address, secrets: str) -> Data:
    found: Data = {"to": address.team.email, "send_resolved": True}
    smtp = address.smtp
    if smtp is not None:
        found |= {"from": smtp.sender or sender_for(address.team.email), "smarthost": smtp.smarthost}
        if smtp.username:
            found |= {"auth_username": smtp.username, "auth_password_file": f"{secrets}/smtp-password"}
    return found | {
        "headers": {"Subject": '{{ template "freezeline.subject" . }}'},
        "html": '{{ template "freezeline.email.html" . }}',
        "text": '{{ template "freezeline.email.text" . }}',
    }


def sender_for(email: str) -> str:
    """Alertmanager's own address, in the domain of the team's addresses."""
    return f"alertmanager@{email.rpartition('@')[2]}"


def _slack(channel: str, secrets: str) -> Data:
    return {
        "api_url_file": f"{secrets}/{channel_name('slack', channel)}",
        "channel": channel,
        "send_resolved": True,
        "title": '{{ template "freezeline.slack.title" . }}',
        "title_link": '{{ template "freezeline.link" . }}',
        "text": '{{ template "freezeline.slack.text" . }}',
        "fallback": '{{ template "freezeline.slack.title" . }}',
        "color": '{{ template "freezeline.color" . }}',
    }


def _pagerduty(name: str, secrets: str) -> Data:
    return {
        "routing_key_file": f"{secrets}/{channel_name('pagerduty', name)}",
        "send_resolved": True,
        "description": '{{ template "freezeline.pagerduty.description" . }}',
        "severity": '{{ template "freezeline.pagerduty.severity" . }}',
        "client": "Freezeline",
        "client_url": '{{ template "freezeline.link" . }}',
    }


def route(planned: PlannedRoute, receiver_name: str) -> Data:
    """One route of Alertmanager's tree, complete in itself: it inherits nothing from its parent."""
    written = planned.written
    named = [] if any(label == "alertname" for label, _ in planned.match) else [planned.alerts]
    matchers = [matcher(label, *values) for label, values in planned.match]
    found: Data = {"receiver": receiver_name, "matchers": [*matchers[:1], *named, *matchers[1:]]}
    if planned.goes_on:
        found["continue"] = True
    repeat_ms = written.repeat_ms if written and written.repeat_ms is not None else REPEAT_MS
    found |= {
        "group_by": list(written.group_by if written and written.group_by else GROUP_BY),
        "group_wait": duration_text(GROUP_WAIT_MS),
        "group_interval": duration_text(GROUP_INTERVAL_MS),
        "repeat_interval": duration_text(repeat_ms),
    }
    service = planned.address.service
    for key, names_of_times in (
        ("mute_time_intervals", written.mute if written else ()),
        ("active_time_intervals", written.active if written else ()),
    ):
        if names_of_times:
            found[key] = [f"{service}-{name}" for name in names_of_times]
    return found
