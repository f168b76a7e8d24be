"""Reads a whole spec file into values of `model`, and reports every problem in one run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from freezeline.problems import Position, Problems
from generator import conditions, names, sli
from generator.model import burn
from generator.model.spec import API_VERSION, Defaults, PlainAlert, Slo, Spec
from generator.model.teams import Owner
from generator.names import SEVERITIES
from generator.promql.text import is_label_name
from generator.reading.reader import NAME, Reader
from generator.reading.source import Source, Value, read_source
from generator.sli.time_slices import TimeSlices
from generator.spec.tiers import parse_tiers, parse_window, tiers_of_slices
from generator.text.digest import digest
from generator.units import DAY, MINUTE, SECOND, decimal_text, duration_text

if TYPE_CHECKING:  # sections that many specs lack
    from generator.model.actions import Action
    from generator.model.canary import Canary
    from generator.model.dashboard import Dashboard
    from generator.model.gate import Gate
    from generator.model.policy import PolicyRule
    from generator.model.routing import Routing

_HUNDRED = Decimal(100)
_PLACEHOLDER = r"\{(\w+)\}"
_SCOPE = r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}"
_FILLED_IN = ("service", "alert", "slo")


def load(name: str, data: bytes, problems: Problems) -> tuple[Source, Spec | None]:
    """The source and the values of one spec file. A file that is not a YAML mapping gives None for the values."""
    source = read_source(name, data, problems)
    if source.root is None:
        return source, None
    return source, _spec(name, source.root, digest(data), problems)


def _spec(file: str, root: Value, sha256: str, problems: Problems) -> Spec | None:
    if not isinstance(root.content, dict):
        problems.add(
            "spec/type", root.position, "a spec must be a mapping", "start the file with `apiVersion: freezeline/v1`"
        )
        return None
    reader = Reader(root, "", problems)
    stem = file.rpartition("/")[2]
    stem = stem.removesuffix(".yaml").removesuffix(".yml")
    version = reader.text("apiVersion")
    if version and version != API_VERSION:
        reader.fail(
            "spec/version",
            f"this version of Freezeline does not read apiVersion {version!r}",
            f"write `apiVersion: {API_VERSION}`",
            key="apiVersion",
        )
    name = reader.name("name", stem)
    if not NAME.fullmatch(name) and not reader.has("name"):
        hint = "write `name: checkout`, or rename the file; use letters, digits, `-`, `_` and `.`, at most 64"
        problems.add("spec/name", Position(file), f"the file name {name!r} is not a valid name of a spec", hint)
    service = reader.name("service")
    owner = _owner(reader)
    scope = _scope(reader)
    defaults = _defaults(reader)
    broken: dict[str, str] = {}
    actions, rules = _policy(reader, broken)
    slos = _slos(reader, defaults, _consumed(rules), broken)
    alerts = _alerts(reader, defaults, broken)
    routing, canary, gate, dashboard = _sections(reader)
    broken.update(dict.fromkeys(gate.broken if gate else (), "check"))
    targets = _targets(reader)
    reader.finish()
    return Spec(
        name=name,
        file=file,
        digest=sha256[:12],
        service=service,
        owner=owner,
        scope=scope,
        scope_position=reader.at("scope") if scope else None,
        defaults=defaults,
        slos=tuple(slos),
        alerts=tuple(alerts),
        policy=rules,
        actions=actions,
        routing=routing,
        canary=canary,
        gate=gate,
        dashboard=dashboard,
        targets=targets,
        broken=broken,
    )


def _scope(reader: Reader) -> str:
    """The name of the set that the spec belongs to; empty if the spec names none."""
    scope = reader.text("scope", "") if reader.has("scope") else ""
    if scope and not re.fullmatch(_SCOPE, scope):
        hint = "write `scope: payments/checkout`; use letters, digits, `-`, `_`, `.` and `/`, at most 128"
        reader.fail("spec/scope", f"{scope!r} is not a valid scope", hint, key="scope")
        return ""
    return scope


def _owner(reader: Reader) -> Owner:
    inner = reader.mapping("owner", required=True)
    if inner is None:
        return Owner(team="", position=reader.position)
    owner = Owner(
        team=inner.name("team"),
        slack=inner.text("slack", ""),
        email=inner.text("email", ""),
        pagerduty=inner.text("pagerduty", ""),
        position=inner.position,
    )
    inner.finish()
    return owner


def _defaults(reader: Reader) -> Defaults:
    fallback = Defaults(window_ms=30 * DAY, interval_ms=MINUTE, scrape_ms=15 * SECOND)
    inner = reader.mapping("defaults")
    if inner is None:
        return fallback
    scrape_ms = inner.duration_ms("scrape", fallback.scrape_ms, at_least=100)
    interval_ms = inner.duration_ms("interval", fallback.interval_ms, at_least=100)
    _warn_of_interval(inner, "interval", interval_ms, scrape_ms)
    defaults = Defaults(
        window_ms=inner.duration_ms("window", fallback.window_ms),
        # An evaluation between two scrapes sees no new sample.
        interval_ms=max(interval_ms, scrape_ms),
        scrape_ms=scrape_ms,
        runbook=_url(inner, "runbook"),
        grafana=_url(inner, "grafana"),
        retention_ms=inner.duration_ms("retention") if inner.has("retention") else None,
    )
    inner.finish()
    return defaults


def _warn_of_interval(reader: Reader, key: str, interval_ms: int, scrape_ms: int) -> None:
    if interval_ms < scrape_ms and reader.has(key):
        scrape = duration_text(scrape_ms)
        message = f"{reader.path(key)}: the interval is shorter than the scrape interval, so Freezeline uses {scrape}"
        hint = f"write `{key}: {scrape}`, or the real scrape interval under `defaults: {{scrape: …}}`"
        reader.problems.add("alert/interval", reader.at(key), message, hint, warning=True)


def _url(reader: Reader, key: str) -> str:
    """A web address. People click on it in alerts and dashboards, therefore other schemes are refused."""
    text = reader.text(key, "")
    if text and not text.startswith(("https://", "http://")):
        reader.fail(
            "spec/url",
            f"{reader.path(key)}: {text!r} is not a web address",
            "write an address that begins with https://",
            key=key,
        )
    unknown = [name for name in (re.findall(_PLACEHOLDER, text) if text else ()) if name not in _FILLED_IN]
    if unknown:
        hint = f"use only {', '.join(f'{{{name}}}' for name in _FILLED_IN)}"
        message = f"{reader.path(key)}: Freezeline does not know the placeholder {{{unknown[0]}}}"
        reader.problems.add("spec/placeholder", reader.at(key), message, hint, warning=True)
    return text


# -- objectives


def _consumed(rules: tuple[PolicyRule, ...]) -> tuple[Decimal, ...]:
    """The shares of consumed budget that alert: the default shares, and the shares that the policy names."""
    asked = {rule.on.budget_consumed for rule in rules if rule.on.budget_consumed is not None}
    return tuple(sorted({*burn.CONSUMED, *asked}))


def _slos(reader: Reader, defaults: Defaults, consumed: tuple[Decimal, ...], broken: dict[str, str]) -> list[Slo]:
    found = []
    for name, position, inner in reader.named_readers("slos"):
        slo = _slo(name, position, inner, defaults, consumed)
        if inner.failed or slo is None:
            broken[name] = "SLO"
        else:
            found.append(slo)
    return found


def _slo(
    name: str, position: Position, reader: Reader, defaults: Defaults, consumed: tuple[Decimal, ...]
) -> Slo | None:
    objective = reader.decimal("objective")
    if reader.has("objective") and not reader.failed and not 0 < objective < _HUNDRED:
        hint = (
            "write a smaller objective: 99.9 allows one bad event in a thousand"
            if objective == _HUNDRED
            else "write a percentage, such as 99.9"
        )
        message = f"{reader.what}.objective must be above 0 and below 100"
        reader.fail("spec/objective", message, hint, key="objective")
    elif 0 < objective < 1:
        hint = f"write the objective as a percentage: {decimal_text(objective.scaleb(2))}"
        bad = decimal_text(_HUNDRED - objective)
        message = f"{reader.what}.objective: {decimal_text(objective)} lets {bad} % of all events be bad"
        reader.fail("spec/objective", message, hint, key="objective")
    budget_ratio = (_HUNDRED - objective) / _HUNDRED
    sli_reader = reader.mapping("sli", required=True)
    parsed = sli.parse(sli_reader) if sli_reader is not None else None
    window = parse_window(reader, defaults)
    tiers, dropped = parse_tiers(reader, window, budget_ratio, defaults)
    group_by = reader.labels("group_by")
    for label in group_by:
        if label in names.RESERVED_LABELS:
            hint = "use another label, or rename this one with `metric_relabel_configs`"
            reader.fail(
                "spec/reserved-label",
                f"{reader.what}.group_by: Freezeline's alerts use the label {label!r} themselves",
                hint,
                key="group_by",
            )
    min_events = reader.integer("min_events", burn.MIN_EVENTS)
    if isinstance(parsed, TimeSlices):
        tiers, few = tiers_of_slices(reader, tiers, parsed.slice_ms, min_events)
        dropped += few
    description = reader.text("description", "")
    runbook = _url(reader, "runbook")
    reader.finish()
    if parsed is None:
        return None
    profile = burn.profile(window, tiers, interval_ms=defaults.interval_ms, consumed=consumed, min_events=min_events)
    return Slo(
        name=name,
        objective=objective,
        budget_ratio=budget_ratio,
        sli=parsed,
        group_by=group_by,
        profile=profile,
        dropped_tiers=dropped,
        position=position,
        written=reader.written,
        description=description,
        runbook=runbook,
    )


# -- plain alerts


def _alerts(reader: Reader, defaults: Defaults, broken: dict[str, str]) -> list[PlainAlert]:
    found = []
    for name, position, inner in reader.named_readers("alerts"):
        if not is_label_name(name):
            hint = "use only letters, digits and `_`, as in HighFailureRate"
            reader.problems.add("alert/name", position, f"{name!r} is not an alert name", hint)
        elif name in names.GENERATED_ALERTS or name.startswith(names.SELF_PREFIX):
            hint = "choose another name"
            reader.problems.add(
                "alert/reserved", position, f"Freezeline generates an alert of the name {name!r} itself", hint
            )
        alert = _alert(name, position, inner, defaults)
        if inner.failed or alert is None:
            broken[name] = "alert"
        else:
            found.append(alert)
    return found


def _alert(name: str, position: Position, reader: Reader, defaults: Defaults) -> PlainAlert | None:
    condition = conditions.parse(reader)
    alert = None
    every_ms = reader.duration_ms("every", defaults.interval_ms, at_least=100)
    _warn_of_interval(reader, "every", every_ms, defaults.scrape_ms)
    fields = {
        "for_ms": reader.duration_ms("for", 0, at_least=0),
        "interval_ms": max(every_ms, defaults.scrape_ms),
        "consecutive": reader.integer("consecutive", 1, at_least=1),
    }
    within_ms = reader.duration_ms("within") if reader.has("within") else None
    texts = {key: reader.text(key, "") for key in ("summary", "description")} | {"runbook": _url(reader, "runbook")}
    team = reader.name("team", "") if reader.has("team") else ""
    severity = reader.choice("severity", SEVERITIES)
    reader.finish()
    if condition is not None:
        alert = PlainAlert(
            name=name,
            condition=condition,
            severity=severity,
            within_ms=within_ms,
            team=team,
            position=position,
            written=reader.written,
            for_ms=fields["for_ms"],
            interval_ms=fields["interval_ms"],
            consecutive=fields["consecutive"],
            summary=texts["summary"],
            description=texts["description"],
            runbook=texts["runbook"],
        )
    return alert


# -- the other sections


def _policy(reader: Reader, broken: dict[str, str]) -> tuple[Mapping[str, Action], tuple[PolicyRule, ...]]:
    if not any([reader.has("actions"), reader.has("policy")]):  # ask for both keys, so that `finish` knows both
        return {}, ()
    from generator.spec import actions as actions_section
    from generator.spec import policy

    actions: Mapping[str, Action] = {}
    inner = reader.mapping("actions")
    if inner is not None:
        actions = actions_section.parse_actions(inner)
        broken.update(dict.fromkeys(set(inner.keys()) - set(actions), "action"))
    rules = policy.parse_rules(reader.readers("policy"))
    if len(rules) < len(reader.values("policy")):
        broken["policy"] = "section"
    return actions, rules


def _sections(reader: Reader) -> tuple[Routing | None, Canary | None, Gate | None, Dashboard | None]:
    """The sections that have parsers of their own. A parser is imported for a spec with its section."""
    routing = canary = gate = dashboard = None
    if (inner := reader.mapping("routing")) is not None:
        from generator.spec import routing as routing_section

        routing = routing_section.parse(inner)
    if (inner := reader.mapping("canary")) is not None:
        from generator.spec import canary as canary_section

        canary = canary_section.parse(inner)
    if (inner := reader.mapping("gate")) is not None:
        from generator.spec import gate as gate_section

        gate = gate_section.parse(inner)
    if (inner := reader.mapping("dashboard")) is not None:
        from generator.spec import dashboard as dashboard_section

        dashboard = dashboard_section.parse(inner)
    return routing, canary, gate, dashboard


def _targets(reader: Reader) -> Mapping[str, str]:
    inner = reader.mapping("targets")
    if inner is None:
        return {}
    found: dict[str, str] = {}
    for name, entry in inner.free_entries():
        if _is_scalar(entry.value):
            found[name] = entry.value.text
        else:
            reader.problems.add(
                "spec/type", entry.value.position, f"targets.{name} must be one text or number", f"write `{name}: 5m`"
            )
    return found


def _is_scalar(value: Value) -> bool:
    return not isinstance(value.content, (dict, tuple)) and value.content is not None
