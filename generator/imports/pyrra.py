"""Pyrra: the kind ServiceLevelObjective with the indicators ratio, latency, latencyNative and bool_gauge."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from generator.imports import queries, tiers
from generator.imports.base import Difference, ForeignReader, Found, ImportedSlo, as_spec_name, check_objective
from generator.imports.queries import Counted, Mapped
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.text import Selector
from generator.reading.source import Value
from generator.text.yaml_text import Plain
from generator.units import DAY, decimal_text, duration_text, parse_duration_ms

TITLE = "Pyrra"
API_VERSION = "pyrra.dev/v1alpha1"
KIND = "ServiceLevelObjective"
PREFIX = "pyrra.dev/"  # Pyrra copies labels and annotations with this prefix to its alerts
_SERVICE_LABELS = (f"{PREFIX}service", "app.kubernetes.io/name", "app")
_TEAM_LABELS = (f"{PREFIX}team", f"{PREFIX}owner", "team", "owner")
_RUNBOOKS = (f"{PREFIX}runbook", f"{PREFIX}runbook_url")


def read(documents: Iterable[Value], found: Found) -> None:
    """Add every SLO of the documents, also of lists."""
    for document in documents:
        reader = ForeignReader(document, "", found.problems)
        if reader.text("kind") == f"{KIND}List":
            for inner in reader.items("items"):
                _read_slo(inner, found)
            for key in ("apiVersion", "metadata"):
                reader.has(key)
            reader.finish()
        else:
            _read_slo(reader, found)


def _read_slo(reader: ForeignReader, found: Found) -> None:
    version, kind = reader.text("apiVersion"), reader.text("kind")
    if (version, kind) != (API_VERSION, KIND):
        hint = f"write `apiVersion: {API_VERSION}` with `kind: {KIND}`, or use `freezeline import sloth` or `openslo`"
        reader.fail("import/kind", f"{version} {kind} is not an object of Pyrra", hint, key="kind")
        return
    metadata, spec = reader.mapping("metadata", required=True), reader.mapping("spec", required=True)
    reader.has("status")
    reader.finish()
    if metadata is None or spec is None:
        return
    name = as_spec_name(metadata.text("name"), metadata.at("name"), found.problems)
    body: dict[str, Plain] = {}
    service, team = _labels(metadata, name, body, found)
    objective = spec.number("target")
    fine = check_objective(objective, spec, "target") if spec.has("target") else False
    description = spec.text("description", "")
    if description:
        body["description"] = " ".join(description.split())
    window_ms = spec.duration_ms("window", 30 * DAY)
    body["window"] = duration_text(window_ms)
    mapped = _indicator(spec, found)
    if mapped is not None:
        body["sli"] = mapped.sli
        if mapped.group_by:
            body["group_by"] = list(mapped.group_by)
    _alerting(spec, name, body, found)
    spec.lost(
        "partial_response_strategy",
        "the import leaves out the strategy for Thanos",
        "set the partial response strategy where the ruler runs",
    )
    hint = "remove the key: Freezeline's rules always read few samples, and are exact"
    spec.lost("performanceOverAccuracy", "the import leaves out performance mode", hint)
    spec.finish()
    if mapped is None or not fine:
        return
    imported = ImportedSlo(
        service=service, team=team, name=name, objective=objective, body=body, position=reader.position
    )
    found.add(imported)
    found.differences.append(_tiers(imported, window_ms, found))


def _labels(metadata: ForeignReader, name: str, body: dict[str, Plain], found: Found) -> tuple[str, str]:
    """Service and team, from options and labels: Pyrra's objects have neither."""
    labels, annotations = metadata.string_map("labels"), metadata.string_map("annotations")
    metadata.has("namespace")
    service = found.options.service or next((labels[label] for label in _SERVICE_LABELS if label in labels), "")
    if not service:
        hint = "add `--service NAME`, or the label pyrra.dev/service"
        message = f"the SLO {name} names no service, so the spec names the service {name}"
        found.problems.add("import/no-service", metadata.at("name"), message, hint, warning=True)
        service = name
    service = as_spec_name(service, metadata.at("labels"), found.problems)
    runbook = next((annotations[key] for key in _RUNBOOKS if key in annotations), "")
    if runbook:
        body["runbook"] = runbook
    known = {*_SERVICE_LABELS, *_TEAM_LABELS}
    lost = sorted(label for label in labels if label.startswith(PREFIX) and label not in known)
    if lost:
        hint = "use the labels service, slo, team, severity and tier, or set `external_labels` in Prometheus"
        metadata.lost("labels", f"the import leaves out the labels {', '.join(lost)}", hint)
    lost = sorted(key for key in annotations if key.startswith(PREFIX) and key not in _RUNBOOKS)
    if lost:
        hint = "write the text as `description:` of the SLO: its alerts show the text"
        metadata.lost("annotations", f"the import leaves out the annotations {', '.join(lost)}", hint)
    metadata.finish()
    return service, next((labels[label] for label in _TEAM_LABELS if label in labels), "")


# -- indicators


def _indicator(spec: ForeignReader, found: Found) -> Mapped | None:
    reader = spec.mapping("indicator", required=True)
    if reader is None:
        return None
    kinds = {"ratio": _ratio, "latency": _latency, "latencyNative": _native}
    mapped: Mapped | None = None
    for key, parse in kinds.items():
        inner = reader.mapping(key)
        if inner is not None:
            mapped = parse(inner)
            inner.finish()
            break
    else:
        inner = reader.mapping(reader.first("bool_gauge", "boolGauge"))
        if inner is not None:
            mapped = _bool_gauge(inner, found)
            inner.finish()
        elif not reader.failed:
            hint = "write one of ratio, latency, latencyNative and bool_gauge"
            reader.fail("import/query", f"{reader.what} has no indicator that Freezeline knows", hint)
    reader.finish()
    return mapped


def _selector(reader: ForeignReader, key: str) -> Selector | None:
    """The selector under `KEY.metric`; None if it cannot be imported (reported)."""
    inner = reader.mapping(key, required=True)
    if inner is None:
        return None
    text = inner.promql("metric", Want.SELECTOR)
    inner.finish()
    return promql.selector(text) if text and not faults(text, Want.SELECTOR) else None


def _grouping(reader: ForeignReader) -> tuple[str, ...]:
    return tuple(sorted(set(reader.labels("grouping"))))


def _ratio(reader: ForeignReader) -> Mapped | None:
    errors, total, by = _selector(reader, "errors"), _selector(reader, "total"), _grouping(reader)
    if errors is None or total is None:
        return None
    return queries.counted_events(Counted(selector=errors, by=by), Counted(selector=total, by=by), bad=True)


def _latency(reader: ForeignReader) -> Mapped | None:
    success, total, by = _selector(reader, "success"), _selector(reader, "total"), _grouping(reader)
    if success is None or total is None:
        return None
    return queries.counted_events(Counted(selector=success, by=by), Counted(selector=total, by=by), bad=False)


def _native(reader: ForeignReader) -> Mapped | None:
    total, by = _selector(reader, "total"), _grouping(reader)
    bound_ms = reader.duration_ms("latency")
    if total is None:
        return None
    sli: dict[str, Plain] = {"histogram": total.text, "below": Decimal(bound_ms).scaleb(-3), "native": True}
    return Mapped(sli=sli, group_by=by)


def _bool_gauge(reader: ForeignReader, found: Found) -> Mapped | None:
    """Each sample of each series is one event, as in Pyrra. A time slice would be bad if any one series is 0."""
    text, by = reader.promql("metric", Want.SELECTOR), _grouping(reader)
    if not text or faults(text, Want.SELECTOR):
        return None
    group = f" by ({', '.join(by)}) " if by else ""
    up = f"sum{group}(sum_over_time({text}[$window]))"
    all_samples = f"sum{group}(count_over_time({text}[$window]))"
    per_second = decimal_text(Decimal(found.options.scrape_ms).scaleb(-3))
    sli: dict[str, Plain] = {
        "error_ratio": f"1 - {up} / {all_samples}",
        "weight": f"count{group}({text}) / {per_second}",
    }
    message = (
        f"{reader.what}: each sample of each series counts as one event, with a scrape every {found.options.scrape}"
    )
    hint = (
        "add `--scrape 30s` for another interval; for time slices, write `sli: {good_when: 'metric == 1', slice: 1m}`"
    )
    found.problems.add("import/bool-gauge", reader.at("metric"), message, hint, warning=True)
    return Mapped(sli=sli, group_by=by)


# -- alerting


def _alerting(spec: ForeignReader, name: str, body: dict[str, Plain], found: Found) -> None:
    alerting = spec.mapping("alerting")
    old = "ErrorBudgetBurn"
    if alerting is not None:
        old = alerting.text("name", old)
        absent = alerting.text("absentName", "SLOMetricAbsent")
        if alerting.boolean("disabled", False) or not alerting.boolean("burnrates", True):
            body["tiers"] = "off"
        if alerting.boolean("disabled", False) or not alerting.boolean("absent", True):
            message = f"the alerts SLOBudgetConsumed and SLONoData of {name} stay on"
            hint = "route these alerts to nobody, or mute them; they are warnings until the budget is spent"
            found.problems.add("import/alerts", alerting.position, message, hint, warning=True)
        found.differences.append(_renamed(absent, "SLONoData", name))
        alerting.finish()
    found.differences.append(_renamed(old, "SLOBudgetBurn", name))


def _renamed(old: str, new: str, slo: str) -> Difference:
    return Difference(
        topic="alert names",
        slo=slo,
        was=old,
        becomes=f'{new} with slo="{slo}"',
        why="the label `tier` replaces long, short and exhaustion; the alert's text explains the tier",
    )


def _tiers(slo: ImportedSlo, window_ms: int, found: Found) -> Difference:
    ours = tiers.ours(window_ms, (100 - slo.objective) / 100, found.options.scrape_ms)
    return Difference(
        topic="tiers",
        slo=slo.name,
        was=tiers.listed(tiers.pyrra(window_ms)),
        becomes="none" if slo.body.get("tiers") == "off" else tiers.listed(ours),
        why="without `for`, pages come minutes to an hour earlier: the short window shows that the budget still burns; "
        "factors follow from the spent share of the budget (2 %, 5 %, 10 %, 10 %)",
    )


def differences(found: Found) -> list[Difference]:
    """Differences from Pyrra that hold for all SLOs."""
    window = found.options.window
    changed = f" (the window is {window} now)" if window and parse_duration_ms(window) else ""
    return [
        Difference(
            topic="budget",
            was="increase of the raw counters over the whole window, read anew each time",
            becomes=f"bad events divided by all events from recorded 5-minute sums{changed}",
            why="the same ratio (within 0.02 %), from a seventieth of the samples",
        ),
        Difference(
            topic="newborn series",
            was="the first error of a new series is lost",
            becomes="the error counts if Prometheus already scraped the target",
            why="with pods that come and go, 3 % of the errors",
        ),
        Difference(
            topic="small numbers",
            was="one failure of three requests after an idle night pages",
            becomes="a tier also asks for five bad events (`min_events`)",
            why="one failure does not show a trend",
        ),
        Difference(
            topic="new alerts",
            was="SLOMetricAbsent for each metric",
            becomes="SLONoData per SLO after 10 minutes without events; SLOBudgetConsumed at 50 % and 100 %",
            why="one alert covers a vanished metric and an SLO without measurements; a spent budget alerts too",
        ),
        Difference(
            topic="series",
            was="METRIC:burnrate5m, METRIC:increase30d",
            becomes='slo:error_ratio{window="5m"} …, slo:error_budget_remaining, with labels service, slo, scope',
            why="change your own dashboards to the new names; `freezeline backfill` fills in the history",
        ),
    ]
