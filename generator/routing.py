"""Routing: which people are told of which alerts, what silences what, and who is next when nobody answers.

Alertmanager announces alerts by the routes; the receiver escalates and keeps people posted (contracts: policy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from freezeline.dataclass import dataclass
from freezeline.problems import Position, Problems
from generator import alert_labels, mute_times, names, policy
from generator.actions import NotifyAction, read_channels
from generator.model import SEVERITIES, Spec
from generator.mute_times import MuteTime
from generator.reader import Reader, is_label_name
from generator.source import Value
from generator.teams import MEDIA, Smtp, Team, channels_of, owner_team
from generator.units import MINUTE

ASKS = ("rollback",)
ESCALATES = "critical"  # unless a level says otherwise: a warning can wait until somebody looks
SHORTEST_REPEAT_MS = MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A team, and by which media it is told."""

    team: str
    by: tuple[str, ...]

    def media(self, team: Team) -> tuple[str, ...]:
        """By which media it is told: those that are written, else all that the team has."""
        return self.by or team.media


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Alerts with these labels go to these targets, all of them together. A label may have several values."""

    match: tuple[tuple[str, tuple[str, ...]], ...]
    to: tuple[Target, ...]
    goes_on: bool  # whether later routes are looked at as well
    group_by: tuple[str, ...]
    repeat_ms: int | None
    mute: tuple[str, ...]
    active: tuple[str, ...]
    position: Position

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels goes here."""
        return all(labels.get(label, "") in values for label, values in self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """While the cause fires, its symptoms (alert names) are not announced."""

    cause: str
    symptoms: tuple[str, ...]
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationLevel:
    """Whom the receiver tells `after_ms` into an incident of these severities that nobody has acknowledged."""

    level: int
    after_ms: int
    to: str
    severities: tuple[str, ...]
    ask: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The `routing` section."""

    teams: Mapping[str, Team]
    routes: tuple[Route, ...]
    inhibit: tuple[Inhibition, ...]
    escalation: tuple[EscalationLevel, ...]
    status_every_ms: int | None
    mute_times: tuple[MuteTime, ...]
    smtp: Smtp | None
    position: Position


def parse(reader: Reader) -> Routing:
    """The `routing` section. What is wrong is reported with its place."""
    muted = reader.mapping("mute_times")
    routing = Routing(
        teams={name: _parse_team(name, inner) for name, _, inner in reader.named_readers("teams")},
        routes=tuple(_parse_route(inner) for inner in reader.readers("routes")),
        inhibit=tuple(_parse_inhibition(inner) for inner in reader.readers("inhibit")),
        escalation=_parse_escalation(reader),
        status_every_ms=reader.duration_ms("status_every", at_least=MINUTE) if reader.has("status_every") else None,
        mute_times=mute_times.parse(muted) if muted is not None else (),
        smtp=_parse_smtp(reader),
        position=reader.position,
    )
    reader.finish()
    return routing


def _parse_team(name: str, reader: Reader) -> Team:
    team = Team(
        name=name,
        slack=read_slack(reader),
        email=read_email(reader, "email"),
        pagerduty=reader.name("pagerduty", ""),
        channels=read_channels(reader, "channels"),
        position=reader.position,
    )
    reader.finish()
    return team


def read_slack(reader: Reader) -> str:
    """A Slack channel (`#name`, or `@person`), or "" where the key is absent."""
    text = reader.text("slack", "")
    if text and (text[0] not in "#@" or len(text) < 2 or any(char.isspace() for char in text)):
        hint = f'channels begin with `#`: slack: "#{text.lstrip("#@")}"; an address with a secret belongs in a file'
        reader.fail("routing/slack", f"{text!r} is not a Slack channel", hint, key="slack")
    return text


def read_email(reader: Reader, key: str) -> str:
    """An e-mail address, or "" where the key is absent."""
    text = reader.text(key, "")
    local, _, domain = text.rpartition("@")
    if text and (not local or not domain or any(char.isspace() or char in ",;<>" for char in text)):
        reader.fail("routing/email", f"{text!r} is not one e-mail address", "such as oncall@example.org", key=key)
    return text


def _parse_route(reader: Reader) -> Route:
    repeat_ms = reader.duration_ms("repeat", at_least=SHORTEST_REPEAT_MS) if reader.has("repeat") else None
    targets = tuple(_parse_target(value, reader) for value in reader.values("to"))
    if not targets:
        reader.fail("routing/no-target", f"{reader.what} tells nobody", "add `to: [{team: …, by: [slack]}]`", key="to")
    route = Route(
        match=tuple(_parse_match(reader)),
        to=targets,
        goes_on=reader.boolean("continue", False),
        group_by=reader.labels("group_by"),
        repeat_ms=repeat_ms,
        mute=reader.texts("mute"),
        active=reader.texts("active"),
        position=reader.position,
    )
    reader.finish()
    return route


def _parse_match(reader: Reader) -> Iterator[tuple[str, tuple[str, ...]]]:
    inner = reader.mapping("match")
    if inner is None:
        return
    for key, _ in inner.free_entries():
        label = "alertname" if key == "alert" else key
        if not is_label_name(label):
            inner.fail("spec/label", f"{label!r} is not a label name", "letters, digits and `_`", key=key)
        elif label == names.SERVICE:
            inner.fail("routing/match", "every route is for this service already", "remove `service`", key=key)
        yield label, inner.texts(key)


def _parse_target(value: Value, reader: Reader) -> Target:
    if isinstance(value.content, str):
        return Target(team=value.content, by=())
    inner = Reader(value, f"{reader.what}.to", reader.problems)
    by = inner.texts("by")
    for medium in by:
        if medium not in MEDIA:
            hint = f"known: {', '.join(MEDIA)}"
            inner.fail("routing/medium", f"{medium!r} is not a way to tell people", hint, key="by")
    target = Target(team=inner.text("team"), by=tuple(medium for medium in MEDIA if medium in by))
    inner.finish()
    return target


def _parse_inhibition(reader: Reader) -> Inhibition:
    symptoms = reader.texts("symptoms")
    if not symptoms:
        hint = "list alert names: `symptoms: [A, B]`"
        reader.fail("routing/inhibit", f"{reader.what} silences nothing", hint, key="symptoms")
    inhibition = Inhibition(cause=reader.text("cause"), symptoms=symptoms, position=reader.position)
    reader.finish()
    return inhibition


def _parse_escalation(reader: Reader) -> tuple[EscalationLevel, ...]:
    levels: list[EscalationLevel] = []
    for number, inner in enumerate(reader.readers("escalation"), start=1):
        level = EscalationLevel(
            level=inner.integer("level", number, at_least=1),
            after_ms=inner.duration_ms("after", at_least=0),
            to=inner.text("to"),
            severities=_parse_severities(inner),
            ask=inner.choice("ask", ASKS) if inner.has("ask") else "",
            position=inner.position,
        )
        inner.finish()
        if levels and (level.level <= levels[-1].level or level.after_ms <= levels[-1].after_ms):
            hint = "each level comes later than the one before, and has a higher number"
            inner.fail("routing/escalation", f"{inner.what} does not follow the level before it", hint)
        levels.append(level)
    return tuple(levels)


def _parse_severities(reader: Reader) -> tuple[str, ...]:
    found = reader.texts("severity") or (ESCALATES,)
    for severity in found:
        if severity not in SEVERITIES:
            hint = f"known: {', '.join(SEVERITIES)}"
            reader.fail("routing/severity", f"{severity!r} is not a severity", hint, key="severity")
    return tuple(severity for severity in SEVERITIES if severity in found)


def _parse_smtp(reader: Reader) -> Smtp | None:
    inner = reader.mapping("smtp")
    if inner is None:
        return None
    smarthost = inner.text("smarthost")
    if smarthost and not smarthost.rpartition(":")[2].isdigit():
        hint = "write host and port: mail.example.org:587"
        inner.fail("routing/smtp", f"{smarthost!r} has no port", hint, key="smarthost")
    smtp = Smtp(smarthost=smarthost, sender=read_email(inner, "from"), username=inner.text("username", ""))
    inner.finish()
    return smtp


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
                policy.report_unknown(
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
            policy.report_unknown(
                problems, "routing/unknown-mute-time", route.position, kind="mute time", name=name, known=known
            )
    static = {label for label, _ in route.match} <= {"alertname", names.SEVERITY, names.TEAM, names.SLO, names.TIER}
    if static and not spec.broken and not any(route.takes(labels) for labels in alert_labels.of(spec)):
        problems.add(
            "routing/never", route.position, "no alert of the spec goes here", "remove it or mend `match`", warning=True
        )


def _check_inhibitions(spec: Spec, routing: Routing, problems: Problems) -> None:
    known = policy.known_alerts(spec)
    silences: dict[str, set[str]] = {}
    for inhibition in routing.inhibit:
        for name in (inhibition.cause, *inhibition.symptoms):
            if name and name not in known | spec.broken:
                policy.report_unknown(
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
        hidden = {one["alertname"] for one in labels if policy.begins(rule, one)} & set(inhibition.symptoms)
        if hidden and not any(policy.begins(rule, cause) for cause in causes):
            hint = f"add a rule for {inhibition.cause}, or take the symptom out of the inhibition"
            message = f"while {inhibition.cause} fires, {', '.join(sorted(hidden))} cannot begin the rule {rule.id}"
            problems.add("routing/hides-policy", inhibition.position, message, hint, warning=True)


def _check_escalation(spec: Spec, routing: Routing, problems: Problems) -> None:
    for level in routing.escalation:
        team = routing.teams.get(level.to)
        if team is None:
            if level.to not in spec.broken:
                policy.report_unknown(
                    problems, "routing/unknown-team", level.position, kind="team", name=level.to, known=routing.teams
                )
        elif not channels_of(team):
            hint = "add `slack:`, `email:`, `pagerduty:` or `channels:`"
            problems.add("routing/no-address", team.position, f"{team.name} cannot be told", hint)
    if not spec.broken:
        _check_escalates(spec, routing, problems)


def _check_escalates(spec: Spec, routing: Routing, problems: Problems) -> None:
    begun = {
        labels[names.SEVERITY]
        for labels in alert_labels.of(spec)
        if any(policy.begins(rule, labels) for rule in spec.policy)
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
            if not any(route.takes(labels) for route in routes)
            and not any(policy.begins(rule, labels) for rule in telling)
        }
    )
    if unheard:
        position = spec.routing.position if spec.routing else spec.owner.position
        hint = "give the owner an address (`slack:`, `email:`, `pagerduty:`), or add a route"
        problems.add("routing/unheard", position, f"nobody is told of {', '.join(unheard)}", hint, warning=True)
