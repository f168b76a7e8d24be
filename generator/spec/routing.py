"""Reads `routing`: who is told of which alert, what silences an alert, and who is next if nobody answers.

Alertmanager sends alerts along the routes; the receiver escalates and keeps people posted.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator import names
from generator.model.routing import EscalationLevel, Inhibition, Route, Routing, Target
from generator.model.teams import MEDIA, Smtp, Team
from generator.names import SEVERITIES
from generator.promql.text import is_label_name
from generator.reading.reader import Reader
from generator.reading.source import Value
from generator.spec import mute_times
from generator.spec.actions import read_channels
from generator.units import MINUTE

ASKS = ("rollback",)
ESCALATES = "critical"  # the default of a level: a warning can wait until somebody looks
SHORTEST_REPEAT_MS = MINUTE


def parse(reader: Reader) -> Routing:
    """The `routing` section. Every problem is reported with its position."""
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
    """A Slack channel (`#name` or `@person`); "" if the key is absent."""
    text = reader.text("slack", "")
    if text and (text[0] not in "#@" or len(text) < 2 or any(char.isspace() for char in text)):
        hint = f'write `slack: "#{text.lstrip("#@")}"`; write a webhook URL into a secret file of Alertmanager instead'
        reader.fail("routing/slack", f"{text!r} is not a Slack channel", hint, key="slack")
    return text


def read_email(reader: Reader, key: str) -> str:
    """An e-mail address; "" if the key is absent."""
    text = reader.text(key, "")
    local, _, domain = text.rpartition("@")
    if text and (not local or not domain or any(char.isspace() or char in ",;<>" for char in text)):
        reader.fail(
            "routing/email",
            f"{reader.what}.{key}: {text!r} is not one e-mail address",
            f"write `{key}: oncall@example.org`",
            key=key,
        )
    return text


def _parse_route(reader: Reader) -> Route:
    repeat_ms = reader.duration_ms("repeat", at_least=SHORTEST_REPEAT_MS) if reader.has("repeat") else None
    targets = tuple(_parse_target(value, reader) for value in reader.values("to"))
    if not targets:
        reader.fail(
            "routing/no-target",
            f"{reader.what} names nobody to tell",
            "add `to: [{team: payments, by: [slack]}]`",
            key="to",
        )
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
            inner.fail(
                "spec/label",
                f"{label!r} is not a label name",
                "use only letters, digits and `_`, and begin with a letter",
                key=key,
            )
        elif label == names.SERVICE:
            inner.fail(
                "routing/match",
                f"{inner.what}: every route of this spec matches only its service",
                "remove `service`",
                key=key,
            )
        yield label, inner.texts(key)


def _parse_target(value: Value, reader: Reader) -> Target:
    if isinstance(value.content, str):
        return Target(team=value.content, by=())
    inner = Reader(value, f"{reader.what}.to", reader.problems)
    by = inner.texts("by")
    for medium in by:
        if medium not in MEDIA:
            hint = f"write some of: {', '.join(MEDIA)}"
            inner.fail("routing/medium", f"{inner.what}.by: {medium!r} is not a medium", hint, key="by")
    target = Target(team=inner.text("team"), by=tuple(medium for medium in MEDIA if medium in by))
    inner.finish()
    return target


def _parse_inhibition(reader: Reader) -> Inhibition:
    symptoms = reader.texts("symptoms")
    if not symptoms:
        hint = "write alert names: `symptoms: [HighLatency]`"
        reader.fail("routing/inhibit", f"{reader.what} names no symptom", hint, key="symptoms")
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
            hint = "write a larger `after:` (and `level:`) than in the level before"
            inner.fail("routing/escalation", f"{inner.what} is not later than the level before", hint)
        levels.append(level)
    return tuple(levels)


def _parse_severities(reader: Reader) -> tuple[str, ...]:
    found = reader.texts("severity") or (ESCALATES,)
    for severity in found:
        if severity not in SEVERITIES:
            hint = f"write one of: {', '.join(SEVERITIES)}"
            reader.fail("routing/severity", f"{reader.what}: {severity!r} is not a severity", hint, key="severity")
    return tuple(severity for severity in SEVERITIES if severity in found)


def _parse_smtp(reader: Reader) -> Smtp | None:
    inner = reader.mapping("smtp")
    if inner is None:
        return None
    smarthost = inner.text("smarthost")
    if smarthost and not smarthost.rpartition(":")[2].isdigit():
        hint = "write host and port: `smarthost: mail.example.org:587`"
        inner.fail("routing/smtp", f"{inner.what}.smarthost: {smarthost!r} has no port", hint, key="smarthost")
    smtp = Smtp(smarthost=smarthost, sender=read_email(inner, "from"), username=inner.text("username", ""))
    inner.finish()
    return smtp
