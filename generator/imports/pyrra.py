"""Pyrra: the kind ServiceLevelObjective with the indicators ratio, latency, latencyNative and bool_gauge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

from freezeline.problems import Position
from generator.imports import objects, queries, reserved, tiers
from generator.imports.base import Difference, ForeignReader, Found, ImportedSlo, as_spec_name, check_objective, owner
from generator.imports.queries import Counted, Mapped
from generator.promql import text as promql
from generator.promql.check import Want, faults
from generator.promql.text import WINDOW, Selector
from generator.reading.source import Value, place
from generator.text.yaml_text import Plain
from generator.units import DAY, decimal_text, duration_text, parse_duration_ms

TITLE = "Pyrra"
API_VERSION = "pyrra.dev/v1alpha1"
KIND = "ServiceLevelObjective"
PREFIX = "pyrra.dev/"  # Pyrra copies labels and annotations with this prefix to its alerts
_SERVICE_LABELS = (f"{PREFIX}service", "app.kubernetes.io/name", "app")
_TEAM_LABELS = (f"{PREFIX}team", f"{PREFIX}owner", "team", "owner")
_RUNBOOKS = (f"{PREFIX}runbook", f"{PREFIX}runbook_url")
_OFFSET = re.compile(r"\s+offset\s+(?P<time>-?[0-9][0-9a-z]*)$", re.IGNORECASE)


def read(documents: Iterable[Value], found: Found) -> None:
    """Add every SLO of the documents."""
    readers = []
    for document in objects.each(documents):
        reader = ForeignReader(document, "", found.problems)
        if not objects.is_other(reader, TITLE, (API_VERSION,)) and _is_slo(reader):
            readers.append(reader)
    namespaces = _namespaces(readers)
    for reader in readers:
        _read_slo(reader, namespaces, found)


def _is_slo(reader: ForeignReader) -> bool:
    version, kind = reader.text("apiVersion"), reader.text("kind")
    if (version, kind) == (API_VERSION, KIND):
        return True
    hint = f"write `apiVersion: {API_VERSION}` with `kind: {KIND}`, or use `freezeline import sloth` or `openslo`"
    reader.fail("import/kind", f"{version} {kind} is not an object of Pyrra", hint, key="kind")
    return False


def _namespaces(readers: Iterable[ForeignReader]) -> dict[str, set[str]]:
    """Each object's name, and the namespaces that have an object of the name."""
    found: dict[str, set[str]] = {}
    for reader in readers:
        metadata = _content(reader.written, "metadata")
        found.setdefault(_text(metadata, "name"), set()).add(_text(metadata, "namespace"))
    return found


def _content(value: Value | None, key: str) -> Value | None:
    held = value.content if value is not None else None
    return held[key].value if isinstance(held, dict) and key in held else None


def _text(value: Value | None, key: str) -> str:
    inner = _content(value, key)
    return inner.text if inner is not None else ""


def _read_slo(reader: ForeignReader, namespaces: Mapping[str, set[str]], found: Found) -> None:
    metadata, spec = reader.mapping("metadata", required=True), reader.mapping("spec", required=True)
    reader.has("status")
    reader.finish()
    if metadata is None or spec is None:
        return
    name = _name(metadata, namespaces, found)
    body: dict[str, Plain] = {}
    service, team = _labels(metadata, name, body, found)
    team = team or _alert_owner(spec)
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
        service=service,
        team=team,
        name=name,
        objective=objective,
        body=body,
        position=reader.position,
        places=_places(metadata, spec),
    )
    found.add(imported)
    found.differences.append(_tiers(imported, window_ms, found))


def _places(metadata: ForeignReader, spec: ForeignReader) -> dict[str, Position]:
    """Where the keys of the spec's SLO come from."""
    found = {key: spec.at(key) for key in ("description", "window")}
    found |= {"objective": spec.at("target"), "tiers": spec.at("alerting"), "runbook": metadata.at("annotations")}
    indicator = _content(spec.written, "indicator")
    kind = next(iter(indicator.content)) if indicator is not None and isinstance(indicator.content, dict) else ""
    return found | {
        "sli": place(spec.written, "indicator", kind),
        "group_by": place(spec.written, "indicator", kind, "grouping"),
    }


def _name(metadata: ForeignReader, namespaces: Mapping[str, set[str]], found: Found) -> str:
    """The SLO's name. If several namespaces have an object of the name, the name begins with the namespace."""
    name, namespace = metadata.text("name"), metadata.text("namespace", "")
    position = metadata.at("name")
    if namespace and len(namespaces.get(name, ())) > 1:
        message = f"several namespaces have an SLO {name}, so this SLO becomes {namespace}-{name}"
        hint = "run the import once for each namespace if each namespace has its own Prometheus"
        found.problems.add("import/renamed", position, message, hint, warning=True)
        name = f"{namespace}-{name}"
    return as_spec_name(name, position, found.problems)


def _labels(metadata: ForeignReader, name: str, body: dict[str, Plain], found: Found) -> tuple[str, str]:
    """Service and team, from options and labels: Pyrra's objects have neither."""
    labels, annotations = metadata.string_lists("labels"), metadata.string_map("annotations")
    service = found.options.service or next((labels[label][0] for label in _SERVICE_LABELS if label in labels), "")
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
    objects.finish_metadata(metadata)
    return service, owner(labels, _TEAM_LABELS, metadata)


def _alert_owner(spec: ForeignReader) -> str:
    """The owner that labels of the alerts name; the import leaves out other labels of alerts."""
    alerting = spec.mapping("alerting")
    if alerting is None:
        return ""
    labels = alerting.string_lists("labels")
    lost = sorted(label for label in labels if label not in _TEAM_LABELS)
    if lost:
        hint = "route by service, slo, team, severity and tier"
        alerting.lost("labels", f"the import leaves out the alert labels {', '.join(lost)}", hint)
    return owner(labels, _TEAM_LABELS, alerting)


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


class _Metric(Struct, frozen=True, kw_only=True):
    """A series selector, and its `offset`; the offset is empty if the file gives none."""

    selector: Selector
    offset: str

    @property
    def rate(self) -> str:
        """Events per second."""
        return f"rate({self.selector.text}[{WINDOW}]{self.offset})"


def _metric(reader: ForeignReader, key: str = "metric") -> _Metric | None:
    """The selector under a key; None if it cannot be imported (reported)."""
    text = reader.text(key).strip()
    found = _OFFSET.search(text)
    bare = text[: found.start()] if found is not None else text
    if not bare:
        return None
    reader.check_promql(bare, Want.SELECTOR, reader.value(key) or reader.written)
    if faults(bare, Want.SELECTOR):
        return None
    return _Metric(selector=promql.selector(bare), offset=f" offset {found['time']}" if found is not None else "")


def _part(reader: ForeignReader, key: str) -> _Metric | None:
    """The selector under `KEY.metric`."""
    inner = reader.mapping(key, required=True)
    if inner is None:
        return None
    found = _metric(inner)
    inner.finish()
    return found


def _grouping(reader: ForeignReader) -> tuple[str, ...]:
    by = tuple(sorted(set(reader.labels("grouping"))))
    reserved.warn(reader, "grouping", reserved.renames(by))
    return by


def _events(reader: ForeignReader, key: str, *, bad: bool) -> Mapped | None:
    """Two counters: events under `key`, and all events under `total`."""
    part, total, by = _part(reader, key), _part(reader, "total"), _grouping(reader)
    if part is None or total is None:
        return None
    if not part.offset and not total.offset:
        counted = (Counted(selector=metric.selector, by=by) for metric in (part, total))
        return queries.counted_events(*counted, bad=bad)
    message = f"{reader.what}: with an `offset`, the spec holds queries: new series and gaps are not counted"
    hint = "remove the `offset` on both sides if no exporter delivers its samples late"
    reader.problems.add("import/counts", reader.at("total"), message, hint, warning=True)
    sli = {
        "bad" if bad else "good": reserved.grouped("sum", part.rate, by),
        "total": reserved.grouped("sum", total.rate, by),
    }
    return Mapped(sli=sli, group_by=reserved.renamed(by))


def _ratio(reader: ForeignReader) -> Mapped | None:
    return _events(reader, "errors", bad=True)


def _latency(reader: ForeignReader) -> Mapped | None:
    mapped = _events(reader, "success", bad=False)
    success = reader.mapping("success")
    bucket = mapped is not None and success is not None and _metric(success)
    if success is None or not bucket or any(name == "le" and op == "=" for name, op, _ in bucket.selector.matchers):
        return mapped
    hint = """add `le="0.5"` or another bound to the metric: its bucket holds the events that were fast enough"""
    success.fail(
        "import/query", f"{success.what}.metric names no bucket, so all buckets would add up", hint, key="metric"
    )
    return None


def _native(reader: ForeignReader) -> Mapped | None:
    total, by = _part(reader, "total"), _grouping(reader)
    bound = decimal_text(Decimal(reader.duration_ms("latency")).scaleb(-3))
    if total is None:
        return None
    if not total.offset and not reserved.renames(by):
        return Mapped(sli={"histogram": total.selector.text, "below": Decimal(bound), "native": True}, group_by=by)
    count = f"histogram_count({total.rate})"
    good = f"histogram_fraction(0, {bound}, {total.rate}) * {count}"
    sli = {"good": reserved.grouped("sum", good, by), "total": reserved.grouped("sum", count, by)}
    return Mapped(sli=sli, group_by=reserved.renamed(by))


def _bool_gauge(reader: ForeignReader, found: Found) -> Mapped | None:
    """Each sample of each series is one event, as in Pyrra. A time slice would be bad if any one series is 0."""
    metric, by = _metric(reader), _grouping(reader)
    if metric is None:
        return None
    text = metric.selector.text
    window = f"[{WINDOW}]{metric.offset}"
    up = reserved.grouped("sum", f"sum_over_time({text}{window})", by)
    all_samples = reserved.grouped("sum", f"count_over_time({text}{window})", by)
    per_second = decimal_text(Decimal(found.options.scrape_ms).scaleb(-3))
    present = reserved.grouped("count", f"{text}{metric.offset}", by)
    sli: dict[str, Plain] = {"error_ratio": f"1 - {up} / {all_samples}", "weight": f"{present} / {per_second}"}
    message = (
        f"{reader.what}: each sample of each series counts as one event, with a scrape every {found.options.scrape}"
    )
    hint = (
        "add `--scrape 30s` for another interval; for time slices, write `sli: {good_when: 'metric == 1', slice: 1m}`"
    )
    found.problems.add("import/bool-gauge", reader.at("metric"), message, hint, warning=True)
    return Mapped(sli=sli, group_by=reserved.renamed(by))


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
        if alerting.text("burnRateType", "static") != "static":
            hint = "remove the key: `min_events` already keeps alerts silent while there is little traffic"
            alerting.lost("burnRateType", "the import leaves out burn rates that follow the traffic", hint)
        found.differences.append(_renamed(absent, "SLONoData", name))
        alerting.has("labels")
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
