"""Sloth: `version: prometheus/v1`, and the Kubernetes kind PrometheusServiceLevel with the same content."""

from __future__ import annotations

from collections.abc import Iterable

from freezeline.problems import Position
from generator.imports import objects, queries, reserved, tiers
from generator.imports.base import Difference, ForeignReader, Found, ImportedSlo, as_spec_name, check_objective, owner
from generator.imports.queries import Mapped, QueryError
from generator.names import SEVERITIES
from generator.reading.source import Value
from generator.text.yaml_text import Plain
from generator.units import DAY, parse_duration_ms

TITLE = "Sloth"
VERSION = "prometheus/v1"
API_VERSION = "sloth.slok.dev/v1"
KIND = "PrometheusServiceLevel"
_KINDS = (KIND, "ManagedPrometheusServiceLevel")  # the second is the same object for Google's managed Prometheus
DEFAULT_WINDOW = "30d"
TEAM_LABELS = ("team", "owner")
_RUNBOOKS = ("runbook", "runbook_url", "runbookURL")


def read(documents: Iterable[Value], found: Found) -> None:
    """Add every service of the documents."""
    for document in objects.each(documents):
        reader = ForeignReader(document, "", found.problems)
        if objects.is_other(reader, TITLE, (VERSION, API_VERSION)):
            continue
        if reader.has("apiVersion"):
            _read_kubernetes(reader, found)
        elif reader.text("version") == VERSION:
            _read_service(reader, found)
            reader.finish()
        else:
            hint = f"write `version: {VERSION}`, or `apiVersion: {API_VERSION}` with `kind: {KIND}`"
            reader.fail("import/kind", f"the file is not a spec of Sloth's {VERSION}", hint, key="version")


def _read_kubernetes(reader: ForeignReader, found: Found) -> None:
    version, kind = reader.text("apiVersion"), reader.text("kind")
    if version != API_VERSION or kind not in _KINDS:
        hint = f"write `apiVersion: {API_VERSION}` with `kind: {KIND}`, or use `freezeline import pyrra` or `openslo`"
        reader.fail("import/kind", f"{version} {kind} is not an object of Sloth", hint, key="kind")
        return
    metadata, spec = reader.mapping("metadata"), reader.mapping("spec", required=True)
    if metadata is not None:
        hint = "write the labels that your operator selects with `generate --format operator --rule-label NAME=VALUE`"
        metadata.lost("labels", "the import leaves out the labels of the Kubernetes object", hint)
        objects.finish_metadata(metadata)
    reader.has("status")
    reader.finish()
    if spec is not None:
        _read_service(spec, found)
        for key in ("sloPlugins", "slo_plugins"):
            _lost_plugins(spec, key)
        spec.finish()


def _lost_plugins(reader: ForeignReader, key: str) -> None:
    reader.lost(key, "the import leaves out Sloth's SLO plugins", "write by hand what the plugins generate")


def _read_service(reader: ForeignReader, found: Found) -> None:
    given = found.options.service
    service = given or as_spec_name(reader.text("service"), reader.at("service"), found.problems)
    reader.has("service")
    labels = reader.string_lists("labels")
    team = owner(labels, TEAM_LABELS, reader)
    others = sorted(set(labels) - set(TEAM_LABELS))
    if others:
        hint = "use the labels service, slo, team, severity and tier, or set `external_labels` in Prometheus"
        reader.lost("labels", f"the import leaves out the labels {', '.join(others)}", hint)
    _lost_plugins(reader, "slo_plugins")
    for inner in reader.items("slos"):
        _read_slo(inner, service, team, found)


def _read_slo(reader: ForeignReader, service: str, team: str, found: Found) -> None:
    name = as_spec_name(reader.text("name"), reader.at("name"), found.problems)
    objective = reader.number("objective")
    body: dict[str, Plain] = {}
    fine = check_objective(objective, reader, "objective") if reader.has("objective") else False
    description = reader.text("description", "")
    if description:
        body["description"] = " ".join(description.split())
    own = reader.string_lists("labels")
    others = sorted(set(own) - set(TEAM_LABELS))
    if others:
        reader.lost("labels", f"the import leaves out the labels {', '.join(others)}", "route by service, slo and team")
    key = reader.first("plugins", "slo_plugins", "sloPlugins")
    _lost_plugins(reader, key)
    window = found.options.window or DEFAULT_WINDOW
    body["window"] = window
    mapped = _sli(reader, found)
    if mapped is not None:
        body["sli"] = mapped.sli
        if mapped.group_by:
            body["group_by"] = list(mapped.group_by)
        if mapped.counts:
            body["min_events"] = 0
    _alerting(reader, name, body, found)
    reader.finish()
    if mapped is not None and fine:
        found.add(
            ImportedSlo(
                service=service,
                team=owner(own, TEAM_LABELS, reader) or team,
                name=name,
                objective=objective,
                body=body,
                position=reader.position,
                places=_places(reader),
            )
        )


def _places(reader: ForeignReader) -> dict[str, Position]:
    """Where the keys of the spec's SLO come from."""
    origins = {"sli": "sli", "group_by": "sli", "runbook": "alerting", "tiers": "alerting"}
    return {key: reader.at(origins.get(key, key)) for key in ("objective", "description", *origins)}


def _sli(reader: ForeignReader, found: Found) -> Mapped | None:
    sli = reader.mapping("sli", required=True)
    if sli is None:
        return None
    events, raw = sli.mapping("events"), sli.mapping("raw")
    mapped: Mapped | None = None
    if events is not None:
        mapped = _events(events)
    elif raw is not None:
        mapped = _raw(raw, found)
    elif sli.has("plugin"):
        hint = "run `sloth generate`, and write the query of its rules under `sli: {events: …}`"
        sli.fail(
            "import/plugin",
            "the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
            hint,
            key="plugin",
        )
    else:
        sli.fail("import/query", f"{sli.what} has neither `events` nor `raw`", "write either `events:` or `raw:`")
    sli.finish()
    return mapped


def _events(reader: ForeignReader) -> Mapped | None:
    keys = (reader.first("error_query", "errorQuery"), reader.first("total_query", "totalQuery"))
    bad, total = (read_query(reader, key) for key in keys)
    reader.finish()
    if not bad or not total:
        return None
    try:
        mapped = queries.events(bad=bad, total=total)
    except QueryError as error:
        fail_query(reader, keys[0], error)
        return None
    warn_mapped(reader, keys[1], mapped)
    reserved.warn(reader, keys[1], mapped.renamed)
    if mapped.counts:
        warn_counts(reader, keys[1])
    return mapped


def _raw(reader: ForeignReader, found: Found) -> Mapped | None:
    key = reader.first("error_ratio_query", "errorRatioQuery")
    text = read_query(reader, key)
    reader.finish()
    if not text:
        return None
    mapped = queries.ratio(text)
    warn_mapped(reader, key, mapped)
    reserved.warn(reader, key, mapped.renamed)
    if "error_ratio" in mapped.sli:
        warn_unweighted(reader, key, found)
    return mapped


def read_query(reader: ForeignReader, key: str) -> str:
    """A query with `$window`; empty if it cannot be imported (reported)."""
    text = reader.text(key)
    if not text:
        return ""
    try:
        return queries.windowed(text)
    except QueryError as error:
        fail_query(reader, key, error)
        return ""


def fail_query(reader: ForeignReader, key: str, error: QueryError) -> None:
    """Report a query that cannot be imported."""
    message, _, hint = str(error).partition("\n")
    reader.fail("import/query", f"{reader.path(key)}: {message}", hint or "write the query in PromQL", key=key)


def warn_mapped(reader: ForeignReader, key: str, mapped: Mapped) -> None:
    """Warn of what a query says beyond its counts, and the spec does not."""
    for guard in mapped.guards:
        message = f"{reader.path(key)}: the import leaves out the guard `{guard}`"
        hint = "write nothing instead: Freezeline counts idle time as no events, and SLONoData does not fire then"
        reader.problems.add("import/guard", reader.at(key), message, hint, warning=True)
    if mapped.apart:
        message = f"{reader.path(key)}: the query can return many series, and Freezeline makes one of them"
        hint = "write `group_by: [LABEL]` into the spec for an error budget of each value of the label"
        reader.problems.add("import/grouping", reader.at(key), message, hint, warning=True)


def warn_counts(reader: ForeignReader, key: str) -> None:
    """Warn of queries that do not give events per second."""
    message = f"{reader.path(key)}: the query does not give events per second"
    hint = "write `sum(rate(counter[{{.window}}]))`; until then, gaps stay and `min_events` is off"
    reader.problems.add("import/counts", reader.at(key), message, hint, warning=True)


def warn_unweighted(reader: ForeignReader, key: str, found: Found) -> None:
    """Warn of a ratio without a number of events."""
    message = f"{reader.path(key)}: each instant has the same weight, busy or idle"
    hint = "add `weight:` with a query of events per second to the SLI: then the budget counts events"
    found.problems.add("import/no-weight", reader.at(key), message, hint, warning=True)


# -- alerting


def _alerting(reader: ForeignReader, name: str, body: dict[str, Plain], found: Found) -> None:
    alerting = reader.mapping("alerting")
    if alerting is None:
        return
    old = alerting.text("name", "")
    _annotations(alerting, body)
    severities: dict[str, str] = {}
    pages = _one_alert(alerting, ("page_alert", "pageAlert"), tiers.PAGES, "critical", severities)
    tickets = _one_alert(alerting, ("ticket_alert", "ticketAlert"), tiers.TICKETS, "warning", severities)
    alerting.lost(
        "labels", "the import leaves out the labels of alerts", "route by service, slo, team, severity and tier"
    )
    alerting.finish()
    kept = tiers.kept(pages=pages, tickets=tickets, severities=severities)
    if kept is not None:
        body["tiers"] = kept
    if old:
        found.differences.append(_renamed(old, name))


def _annotations(alerting: ForeignReader, body: dict[str, Plain]) -> None:
    annotations = alerting.string_map("annotations")
    runbook = next((annotations[key] for key in _RUNBOOKS if key in annotations), "")
    if runbook:
        body["runbook"] = runbook
    others = sorted(set(annotations) - set(_RUNBOOKS))
    if others:
        hint = "write the text as `description:` of the SLO: its alerts show the text"
        alerting.lost("annotations", f"the import leaves out the annotations {', '.join(others)}", hint)


def _one_alert(
    alerting: ForeignReader,
    keys: tuple[str, str],
    names: tuple[str, ...],
    default: str,
    severities: dict[str, str],
) -> bool:
    """Whether the alert is on. A severity that Freezeline knows, and that is not the default, is noted."""
    key = alerting.first(*keys)
    inner = alerting.mapping(key)
    if inner is None:
        return True
    disabled = inner.boolean("disable", False)
    labels = inner.string_map("labels")
    severity = labels.get("severity", default)
    if severity in SEVERITIES and severity != default:
        severities.update(dict.fromkeys(names, severity))
    others = sorted(set(labels) - ({"severity"} if severity in SEVERITIES else set()))
    if others and not disabled:
        hint = f"route by severity: these alerts have {severity if severity in SEVERITIES else default}"
        inner.lost("labels", f"the import leaves out the alert labels {', '.join(others)}", hint)
    inner.lost(
        "annotations",
        "the import leaves out the annotations of this alert",
        "write the text as `description:` of the SLO",
    )
    inner.finish()
    return not disabled


def _renamed(old: str, slo: str) -> Difference:
    return Difference(
        topic="alert names",
        slo=slo,
        was=f"{old} with sloth_severity page or ticket",
        becomes=f'SLOBudgetBurn with slo="{slo}" and tier fast, medium (page), slow or trickle (ticket)',
        why="one name for all SLOs: routes, silences and inhibitions match labels instead of a list of names",
    )


def differences(found: Found) -> list[Difference]:
    """Differences from Sloth that hold for all SLOs."""
    window_ms = parse_duration_ms(found.options.window or DEFAULT_WINDOW)
    ours = tiers.ours(window_ms, found.smallest_budget_ratio(), found.options.scrape_ms)
    was = tiers.listed(tiers.SLOTH) if window_ms == 30 * DAY else "Sloth's windows for this period"
    return [
        Difference(
            topic="budget",
            was="the average of the 5-minute error ratios over the window",
            becomes="bad events divided by all events over the window",
            why="an average of ratios counts a quiet night as much as a busy noon (an incident at night: +243 %, at "
            "noon: -43 %), and one idle 5 minutes makes it NaN",
        ),
        Difference(
            topic="gaps",
            was="Sloth loses events while Prometheus was down, and the first error of a new series",
            becomes="Freezeline counts both, from the counters' later values",
            why="an outage of Prometheus hides part of an incident: 70 minutes hide a tenth of the ratio",
        ),
        Difference(
            topic="tiers",
            was=f"two alerts per SLO: {was}",
            becomes=f"one alert per tier: {tiers.listed(ours)}",
            why="factor = share of the budget × window / long; each tier can be routed, silenced and proven alone",
        ),
        Difference(
            topic="small numbers",
            was="one failure of three requests after an idle night pages",
            becomes="a tier also asks for five bad events (`min_events`)",
            why="one failure does not show a trend",
        ),
        Difference(
            topic="severities",
            was="the labels of page_alert and ticket_alert",
            becomes="critical for fast and medium, warning for slow and trickle",
            why="a policy can freeze on severity alone; write another severity under `tiers`",
        ),
        Difference(
            topic="new alerts",
            was="none",
            becomes="SLOBudgetConsumed at 50 % and 100 % of the budget, SLONoData after 10 minutes without events",
            why="a spent budget, and an SLO without measurements, alert too",
        ),
        Difference(
            topic="series",
            was="slo:sli_error:ratio_rate5m … with labels sloth_id, sloth_service, sloth_slo",
            becomes='slo:error_ratio{window="5m"} … with labels service, slo, scope',
            why="change your own dashboards to the new names; `freezeline backfill` fills in the history",
        ),
    ]
