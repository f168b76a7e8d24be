"""OpenSLO v1: SLOs with SLIs inline or by name, by occurrences, or by time slices if the spec can express them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct, field

from generator.imports.base import Difference, ForeignReader, Found, ImportedSlo, as_spec_name, check_objective
from generator.imports.openslo_sli import Objective, sli_of
from generator.imports.openslo_window import read_window
from generator.imports.queries import Mapped
from generator.reading.reader import Reader
from generator.reading.source import Value
from generator.text.yaml_text import Plain

TITLE = "OpenSLO"
API_VERSION = "openslo/v1"
_TEAM_LABELS = ("team", "owner")
_KINDS = ("SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")


class _Objects(Struct):
    """Objects that SLOs refer to by name."""

    indicators: dict[str, Value] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # data source → its type


def read(documents: Iterable[Value], found: Found) -> None:
    """Add every SLO of the documents. SLIs and data sources may stand in other documents than the SLO."""
    objects, slos = _Objects(), []
    for document in documents:
        reader = ForeignReader(document, "", found.problems)
        version, kind = reader.text("apiVersion"), reader.text("kind")
        if version != API_VERSION or kind not in _KINDS:
            hint = f"write `apiVersion: {API_VERSION}` with one of the kinds {', '.join(_KINDS)}"
            reader.fail("import/kind", f"{version} {kind} is not an object of OpenSLO v1", hint, key="apiVersion")
        elif kind == "SLO":
            slos.append(reader)
        else:
            _note(reader, kind, objects)
    for reader in slos:
        _read_slo(reader, objects, found)


def _note(reader: ForeignReader, kind: str, objects: _Objects) -> None:
    metadata = reader.mapping("metadata", required=True)
    name = metadata.text("name") if metadata is not None else ""
    if kind == "SLI":
        objects.indicators[name] = reader.written
    elif kind == "DataSource":
        spec = reader.mapping("spec")
        objects.sources[name] = spec.text("type", "") if spec is not None else ""
    elif kind.startswith("Alert"):
        message = f"the import leaves out the {kind} {name}"
        hint = (
            "write tiers under `tiers:`, and people under `routing:`; without `tiers:`, SLOs get the four default tiers"
        )
        reader.problems.add("import/not-carried", reader.position, message, hint, warning=True)


def _read_slo(reader: ForeignReader, objects: _Objects, found: Found) -> None:
    metadata, spec = reader.mapping("metadata", required=True), reader.mapping("spec", required=True)
    reader.finish()
    if metadata is None or spec is None:
        return
    name = as_spec_name(metadata.text("name"), metadata.at("name"), found.problems)
    labels = metadata.string_map("labels")
    for key in ("displayName", "annotations"):
        metadata.has(key)
    metadata.finish()
    given = found.options.service
    service = given or as_spec_name(spec.text("service"), spec.at("service"), found.problems)
    spec.has("service")
    body: dict[str, Plain] = {}
    description = spec.text("description", "")
    if description:
        body["description"] = " ".join(description.split())
    window = read_window(spec)
    body["window"] = window or ""
    method = spec.text("budgetingMethod", "Occurrences")
    indicator = _indicator(spec, objects)
    hint = "write tiers under `tiers:`, and people under `routing:`; without `tiers:`, SLOs get the four default tiers"
    spec.lost("alertPolicies", "the import leaves out alert policies", hint)
    readers = spec.items("objectives")
    if not readers:
        spec.fail("import/objective", f"{spec.what} has no objective", "write `objectives: [{target: 0.99}]`")
    objectives = [_objective(inner, method) for inner in readers]
    spec.finish()
    if indicator is None or window is None:
        return
    team = next((labels[label] for label in _TEAM_LABELS if label in labels), "")
    for number, objective in enumerate(objectives, start=1):
        own = name if len(objectives) == 1 else f"{name}-{number}"
        mapped = sli_of(indicator, objective, objects.sources, found) if objective is not None else None
        if objective is not None and mapped is not None:
            found.add(_slo(objective, mapped, body, service=service, team=team, name=own))


def _slo(
    objective: Objective, mapped: Mapped, body: Mapping[str, Plain], *, service: str, team: str, name: str
) -> ImportedSlo:
    own: dict[str, Plain] = {**body, "sli": mapped.sli}
    if mapped.group_by:
        own["group_by"] = list(mapped.group_by)
    if mapped.counts:
        own["min_events"] = 0
    return ImportedSlo(
        service=service,
        team=team,
        name=name,
        objective=objective.percent,
        body=own,
        position=objective.reader.position,
    )


def _indicator(spec: ForeignReader, objects: _Objects) -> Value | None:
    """The SLI's `spec`, inline or by name; None if it is missing (reported)."""
    if spec.has("indicatorRef"):
        name = spec.text("indicatorRef")
        referred = objects.indicators.get(name)
        if referred is None:
            known = ", ".join(objects.indicators) or "none"
            hint = f"add the file with the SLI to the command line; found: {known}"
            spec.fail("import/reference", f"these files have no SLI {name!r}", hint, key="indicatorRef")
            return None
        return _inner_spec(ForeignReader(referred, f"SLI {name}", spec.problems))
    inner = spec.mapping("indicator", required=True)
    return _inner_spec(inner) if inner is not None else None


def _inner_spec(reader: Reader) -> Value | None:
    for key in ("apiVersion", "kind", "metadata"):
        reader.has(key)
    value = reader.required_value("spec")
    reader.finish()
    return value


def _objective(reader: ForeignReader, method: str) -> Objective | None:
    """One objective: its target in per cent, and its comparison."""
    if reader.has("targetPercent"):
        key, percent = "targetPercent", reader.number("targetPercent")
    else:
        key, percent = "target", reader.number("target").scaleb(2)
    fine = check_objective(percent, reader, key) if reader.has(key) else False
    if method not in ("Occurrences", "Timeslices", "RatioTimeslices"):
        hint = "write `budgetingMethod: Occurrences` or `Timeslices`"
        reader.fail("import/slices", f"Freezeline does not know the budgeting method {method!r}", hint)
        fine = False
    reader.has("displayName")
    slices = method != "Occurrences"
    objective = Objective(
        percent=percent,
        op=reader.text("op", ""),
        value=reader.number("value") if reader.has("value") else None,
        slice_target=reader.number("timeSliceTarget") if reader.has("timeSliceTarget") else None,
        slice_window=_slice_window(reader) if slices else "",
        reader=reader,
    )
    reader.finish()
    return objective if fine else None


def _slice_window(reader: ForeignReader) -> str:
    """`5` (minutes) or `5m`."""
    value = reader.required_value("timeSliceWindow")
    if value is None:
        return "1m"
    return f"{value.text}m" if isinstance(value.content, int) else value.text


def differences(found: Found) -> list[Difference]:
    """Differences that hold for all of OpenSLO: the format says what is wanted, not how to compute it."""
    shown: Mapping[str, Decimal] = {slo.name: slo.objective for slo in found.slos}
    strictest = max(shown, key=lambda name: shown[name], default="")
    return [
        Difference(
            topic="budget",
            was="left to the tool",
            becomes="bad events divided by all events over the window; with time slices, bad slices by all slices",
            why="Freezeline adds up events and never averages ratios, so night and noon count by their traffic",
        ),
        Difference(
            topic="alerts",
            was="left to the tool; the import leaves out AlertPolicy objects",
            becomes="SLOBudgetBurn in four tiers, SLOBudgetConsumed at 50 % and 100 %, SLONoData",
            why="see `freezeline explain`" + (f", for example of {strictest}" if strictest else ""),
        ),
    ]
