"""OpenSLO v1, v1alpha and v2alpha: SLOs with SLIs inline or by name, by occurrences, or by time slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct, field

from freezeline.problems import Position
from generator.imports import objects
from generator.imports.base import Difference, ForeignReader, Found, ImportedSlo, as_spec_name, check_objective, owner
from generator.imports.openslo_sli import Objective, sli_of
from generator.imports.openslo_window import read_window
from generator.imports.queries import Mapped
from generator.reading.reader import Reader
from generator.reading.source import Value
from generator.text.yaml_text import Plain

TITLE = "OpenSLO"
_TEAM_LABELS = ("team", "owner")
_KINDS = ("SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")
_OF_PARTS = ("indicator", "indicatorRef", "sli", "sliRef", "compositeWeight")  # keys of an objective in a composite
_MARKS = ("openslo/v", "openslo.com/v")


class Version(Struct, frozen=True, kw_only=True):
    """The keys of an SLO that are called otherwise in other versions of the format."""

    indicator: str = "indicator"
    reference: str = "indicatorRef"
    inside_objectives: bool = False  # each objective may hold its own ratio, and none names the length of a slice


VERSIONS: Mapping[str, Version] = MappingProxyType(
    {
        "openslo/v1": Version(),
        "openslo/v1alpha": Version(inside_objectives=True),
        "openslo.com/v2alpha": Version(indicator="sli", reference="sliRef"),
        "openslo.com/v2alpha1": Version(indicator="sli", reference="sliRef"),
    }
)


class _Objects(Struct):
    """Objects that SLOs refer to by name."""

    indicators: dict[str, Value] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # data source → its type
    owners: dict[str, str] = field(default_factory=dict)  # service → its owner


def read(documents: Iterable[Value], found: Found) -> None:
    """Add every SLO of the documents. SLIs and data sources may stand in other documents than the SLO."""
    known, slos = _Objects(), []
    for document in objects.each(documents):
        reader = ForeignReader(document, "", found.problems)
        if objects.is_other(reader, TITLE, _MARKS):
            continue
        name, kind = reader.text("apiVersion"), reader.text("kind")
        version = VERSIONS.get(name)
        if version is None or kind not in _KINDS:
            hint = f"write an `apiVersion` of {', '.join(VERSIONS)}, with one of the kinds {', '.join(_KINDS)}"
            key = "kind" if version is not None else "apiVersion"
            reader.fail("import/kind", f"{name} {kind} is not an object of OpenSLO", hint, key=key)
        elif kind == "SLO":
            slos.append((reader, version))
        else:
            _note(reader, kind, known)
    for reader, version in slos:
        _SloReader(reader, version, known, found).read()


def _note(reader: ForeignReader, kind: str, known: _Objects) -> None:
    metadata = reader.mapping("metadata", required=True)
    name = metadata.text("name") if metadata is not None else ""
    if kind == "SLI":
        known.indicators[name] = reader.written
    elif kind == "DataSource":
        spec = reader.mapping("spec")
        known.sources[name] = spec.text("type", "") if spec is not None else ""
    elif kind == "Service" and metadata is not None:
        labels = metadata.string_lists("labels")
        known.owners[name] = owner(labels, _TEAM_LABELS, metadata)
    elif kind.startswith("Alert"):
        message = f"the import leaves out the {kind} {name}"
        hint = (
            "write tiers under `tiers:`, and people under `routing:`; without `tiers:`, SLOs get the four default tiers"
        )
        reader.problems.add("import/not-carried", reader.position, message, hint, warning=True)


class _SloReader:
    """Reads one object of the kind SLO."""

    def __init__(self, reader: ForeignReader, version: Version, known: _Objects, found: Found) -> None:
        self._reader = reader
        self._version = version
        self._known = known
        self._found = found

    def read(self) -> None:
        """Add one SLO for each objective."""
        metadata = self._reader.mapping("metadata", required=True)
        spec = self._reader.mapping("spec", required=True)
        self._reader.finish()
        if metadata is None or spec is None:
            return
        name = as_spec_name(metadata.text("name"), metadata.at("name"), self._found.problems)
        service = self._found.options.service or as_spec_name(
            spec.text("service"), spec.at("service"), self._found.problems
        )
        team = owner(metadata.string_lists("labels"), _TEAM_LABELS, metadata)
        team = team or self._known.owners.get(spec.text("service", ""), "")
        metadata.has("displayName")
        objects.finish_metadata(metadata)
        body, indicator, objectives = self._content(spec)
        if indicator is None or not body["window"]:
            return
        for number, objective in enumerate(objectives, start=1):
            own = name if len(objectives) == 1 else f"{name}-{number}"
            if objective is None:
                continue
            chosen = objective.ratio or indicator
            mapped = sli_of(chosen, objective, self._known.sources, self._found)
            if mapped is not None:
                places = {"sli": chosen.position, "group_by": chosen.position, "window": spec.at("timeWindow")}
                self._found.add(
                    _slo(objective, mapped, body, service=service, team=team, name=own, places=places),
                )

    def _content(self, spec: ForeignReader) -> tuple[dict[str, Plain], Value | None, list[Objective | None]]:
        """The keys that all objectives share, the SLI (None if it cannot be imported), and the objectives."""
        description = spec.text("description", "")
        body: dict[str, Plain] = {"description": " ".join(description.split())} if description else {}
        body["window"] = read_window(spec, self._found.options.window) or ""
        method = spec.text("budgetingMethod", "Occurrences")
        readers = spec.items("objectives")
        if not readers:
            spec.fail("import/objective", f"{spec.what} has no objective", "write `objectives: [{target: 0.99}]`")
        objectives = [self._objective(inner, method) for inner in readers]
        hint = (
            "write tiers under `tiers:`, and people under `routing:`; without `tiers:`, SLOs get the four default tiers"
        )
        spec.lost("alertPolicies", "the import leaves out alert policies", hint)
        indicator = self._indicator(spec, [one for one in objectives if one is not None], parts=_parts(readers))
        spec.finish()
        return body, indicator, objectives

    def _indicator(self, spec: ForeignReader, objectives: list[Objective], *, parts: bool) -> Value | None:
        """The SLI's `spec`, inline or by name; None if it is missing (reported, but for `parts` of a composite)."""
        if self._version.inside_objectives:
            if objectives and all(objective.ratio is not None for objective in objectives):
                spec.has("indicator")
                return spec.written
            return spec.required_value("indicator")
        keys = self._version
        if spec.has(keys.reference):
            name = spec.text(keys.reference)
            referred = self._known.indicators.get(name)
            if referred is None:
                known = ", ".join(self._known.indicators) or "none"
                hint = f"add the file with the SLI to the command line; found: {known}"
                spec.fail("import/reference", f"these files have no SLI {name!r}", hint, key=keys.reference)
                return None
            return _inner_spec(ForeignReader(referred, f"SLI {name}", spec.problems))
        inner = spec.mapping(keys.indicator, required=not parts)
        return _inner_spec(inner) if inner is not None else None

    def _objective(self, reader: ForeignReader, method: str) -> Objective | None:
        """One objective: its target in per cent, and its comparison."""
        if reader.has("targetPercent"):
            key, percent = "targetPercent", reader.number("targetPercent")
        else:
            key, percent = "target", reader.number("target").scaleb(2)
        fine = check_objective(percent, reader, key) if reader.has(key) else False
        fine = _is_known_method(reader, method) and _is_alone(reader) and fine
        reader.has("displayName")
        objective = Objective(
            percent=percent,
            op=reader.text("op", ""),
            value=reader.number("value") if reader.has("value") else None,
            slice_target=reader.number("timeSliceTarget") if reader.has("timeSliceTarget") else None,
            slice_window=self._slice_window(reader) if method != "Occurrences" else "",
            averaged=method == "RatioTimeslices",
            ratio=reader.written if self._version.inside_objectives and reader.has("ratioMetrics") else None,
            reader=reader,
        )
        reader.finish()
        return objective if fine else None

    def _slice_window(self, reader: ForeignReader) -> str:
        """`5` (minutes) or `5m`."""
        if self._version.inside_objectives and not reader.has("timeSliceWindow"):
            message = f"{reader.what} names no length of a time slice, so the spec names one minute"
            hint = "write `timeSliceWindow: 5m` for another length"
            reader.problems.add("import/slices", reader.position, message, hint, warning=True)
            return "1m"
        value = reader.required_value("timeSliceWindow")
        if value is None:
            return "1m"
        return f"{value.text}m" if isinstance(value.content, int) else value.text


def _is_known_method(reader: ForeignReader, method: str) -> bool:
    if method in ("Occurrences", "Timeslices", "RatioTimeslices"):
        return True
    hint = "write `budgetingMethod: Occurrences` or `Timeslices`"
    reader.fail("import/slices", f"Freezeline does not know the budgeting method {method!r}", hint)
    return False


def _parts(readers: Iterable[ForeignReader]) -> bool:
    """Whether any objective is a part of a composite SLO."""
    return any(reader.has(key) for reader in readers for key in _OF_PARTS)


def _is_alone(reader: ForeignReader) -> bool:
    """Whether the objective is no part of a composite SLO; such a part is reported."""
    found = [key for key in _OF_PARTS if reader.has(key)]
    if found:
        message = f"{reader.what} is a part of a composite SLO, which Freezeline does not have"
        hint = "write one SLO for each objective, with its own indicator"
        reader.fail("import/objective", message, hint, key=found[0])
    return not found


def _slo(
    objective: Objective,
    mapped: Mapped,
    body: Mapping[str, Plain],
    *,
    service: str,
    team: str,
    name: str,
    places: Mapping[str, Position],
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
        places=places,
    )


def _inner_spec(reader: Reader) -> Value | None:
    for key in ("apiVersion", "kind", "metadata"):
        reader.has(key)
    value = reader.required_value("spec")
    reader.finish()
    return value


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
