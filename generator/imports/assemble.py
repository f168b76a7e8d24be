"""From imported SLOs to spec files: one for each service, checked like a spec that a person wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from freezeline.problems import Position, Problem
from generator import pipeline
from generator.imports import Importer
from generator.imports.base import Difference, Found, ImportedSlo, as_spec_name
from generator.model.spec import API_VERSION
from generator.reading.source import Source, Value, read_documents
from generator.text import yaml_text
from generator.text.yaml_text import Plain

_SLO_INDENT, _KEY_INDENT = 2, 4
HEADER = "Imported by freezeline from {title}: {files}. From now on, edit this file."


class Outcome(Struct, frozen=True, kw_only=True):
    """Spec files (name → content), the foreign files for showing problems, and what will differ."""

    specs: dict[str, bytes]
    sources: tuple[Source, ...]
    differences: tuple[Difference, ...]
    slos: tuple[ImportedSlo, ...]


def run(importer: Importer, files: Iterable[tuple[str, bytes]], found: Found) -> Outcome:
    """Read foreign files, write specs, and run all checks on the specs. Problems are added to `found`."""
    sources: list[Source] = []
    documents: list[Value] = []
    for name, data in files:
        source, roots = read_documents(name, data, found.problems)
        sources.append(source)
        documents += roots
    importer.read(documents, found)
    by_service: dict[str, list[ImportedSlo]] = {}
    for slo in found.slos:
        by_service.setdefault(slo.service, []).append(slo)
    specs = {}
    for service, slos in by_service.items():
        name = f"{service}.yaml"
        specs[name] = _spec(importer, service, slos, found).encode()
        _check(name, specs[name], slos, found)
    differences = (*importer.differences(found), *found.differences) if found.slos else ()
    return Outcome(specs=specs, sources=tuple(sources), differences=differences, slos=tuple(found.slos))


def _spec(importer: Importer, service: str, slos: Sequence[ImportedSlo], found: Found) -> str:
    """The text of one spec. Values that all SLOs share are written under `defaults`."""
    window = found.options.window or _common(slos, "window") or "30d"
    body: dict[str, Plain] = {
        "apiVersion": API_VERSION,
        "service": service,
        "owner": {"team": _team(service, slos, found)},
        "defaults": {"window": "30d" if window.startswith("calendar") else window, "scrape": found.options.scrape},
        "slos": {slo.name: _slo(slo, window, given=bool(found.options.window)) for slo in slos},
    }
    files = ", ".join(dict.fromkeys(slo.position.file for slo in slos))
    return yaml_text.document(body, HEADER.format(title=importer.title, files=files))


def _common(slos: Sequence[ImportedSlo], key: str) -> str:
    values = {str(slo.body.get(key, "")) for slo in slos}
    return values.pop() if len(values) == 1 else ""


def _slo(slo: ImportedSlo, window: str, *, given: bool) -> Plain:
    body = dict(slo.body)
    default = given or (body.get("window") == window and not window.startswith("calendar"))
    if default:
        body.pop("window", None)
    return {"objective": slo.objective, **body}


def _team(service: str, slos: Sequence[ImportedSlo], found: Found) -> str:
    """The owner: from the option, else from the file, else the service's name with a warning."""
    teams = [found.options.team, *(slo.team for slo in slos)]
    named = [team for team in dict.fromkeys(teams) if team]
    position = slos[0].position
    if not named:
        hint = "add `--team NAME`: alerts carry the team, and routes use the team"
        message = f"the file names no owner of {service}, so the spec names the team {service}"
        found.problems.add("import/no-team", position, message, hint, warning=True)
        return service
    if len(named) > 1 and not found.options.team:
        message = f"{service} has several owners ({', '.join(named)}), so the spec names the first"
        found.problems.add("import/no-team", position, message, "add `--team NAME`", warning=True)
    return as_spec_name(named[0], position, found.problems)


def _check(name: str, data: bytes, slos: Sequence[ImportedSlo], found: Found) -> None:
    """Report the spec's own problems, at the part of the foreign file that the wrong part of the spec comes from."""
    loaded = pipeline.load_set([(name, data)], "imported")
    starts = _starts(data)
    places = {slo.name: slo for slo in slos}
    for problem in loaded.problems:
        slo, key = next(((slo, key) for line, slo, key in reversed(starts) if line <= problem.position.line), ("", ""))
        if slo in places:
            found.problems.extend([_moved(problem, places[slo].at(key))])
        elif not problem.warning:
            found.problems.extend([_moved(problem, slos[0].position)])


def _moved(problem: Problem, position: Position) -> Problem:
    return Problem(problem.code, position, problem.message, problem.hint, problem.warning)


def _starts(data: bytes) -> list[tuple[int, str, str]]:
    """Where each SLO, and each key of an SLO, begins in a generated spec: (line, SLO, key or an empty text).

    Under `slos:`, only names of SLOs are indented by two spaces, and only their keys by four.
    """
    found, inside, slo = [], False, ""
    for number, line in enumerate(data.decode().split("\n"), start=1):
        indent = len(line) - len(line.lstrip(" "))
        if line and not indent:
            inside = line == "slos:"
        elif inside and indent == _SLO_INDENT:
            slo = line.strip().rstrip(":").strip("'\"")
            found.append((number, slo, ""))
        elif inside and indent == _KEY_INDENT:
            found.append((number, slo, line.strip().partition(":")[0]))
    return found
