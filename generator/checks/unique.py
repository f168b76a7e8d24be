"""Names that may occur only once in a set: specs, artefacts, and SLOs and alerts of a service."""

from __future__ import annotations

from freezeline.problems import Position, Problems
from generator.model.spec import OutputSet, Spec

CODES = (
    "set/two-scopes",
    "set/spec-name",
    "set/reserved-name",
    "set/duplicate-slo",
    "set/duplicate-alert",
)

# Artefacts of the whole set: rules/freezeline.rules.yml, rules/shared.<profile>.rules.yml, dashboards/overview.json and
# rules/alertmanager/_all.yml.
_OWN_NAMES = frozenset({"freezeline", "overview", "_all"})
_OWN_PREFIX = "shared."


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report names that occur twice. Two specs of one name would overwrite each other's artefacts."""
    names: dict[str, str] = {}
    slos: dict[tuple[str, str], Position] = {}
    alerts: dict[tuple[str, str], Position] = {}
    _check_scopes(output_set, problems)
    for spec in output_set.specs:
        _check_name(spec, names, problems)
        for slo in spec.slos:
            key = (spec.service, slo.name)
            if key in slos:
                message = f"the service {spec.service!r} has two SLOs {slo.name!r}"
                problems.add(
                    "set/duplicate-slo", slo.position, message, f"rename one of them; the other is at {slos[key]}"
                )
            slos.setdefault(key, slo.position)
        for alert in spec.alerts:
            key = (spec.service, alert.name)
            if key in alerts:
                message = f"the service {spec.service!r} has two alerts {alert.name!r}"
                problems.add(
                    "set/duplicate-alert", alert.position, message, f"rename one of them; the other is at {alerts[key]}"
                )
            alerts.setdefault(key, alert.position)


def _check_scopes(output_set: OutputSet, problems: Problems) -> None:
    """A set has one scope, and it is enough if one of its specs names the scope."""
    first: Spec | None = None
    for spec in output_set.specs:
        if spec.scope and first is not None and spec.scope != first.scope and spec.scope_position is not None:
            hint = f"write `scope: {first.scope}` as in {first.file}, or generate this spec in a run of its own"
            message = f"specs that are generated together have the scopes {first.scope!r} and {spec.scope!r}"
            problems.add("set/two-scopes", spec.scope_position, message, hint)
        elif spec.scope and first is None:
            first = spec


def _check_name(spec: Spec, names: dict[str, str], problems: Problems) -> None:
    if spec.name in names:
        hint = f"rename this file, or write another `name:`; the other spec is {names[spec.name]}"
        problems.add("set/spec-name", Position(spec.file), f"two specs are named {spec.name!r}", hint)
    names.setdefault(spec.name, spec.file)
    if spec.name in _OWN_NAMES or spec.name.startswith(_OWN_PREFIX):
        message = f"a spec cannot have the name {spec.name!r}: Freezeline generates a file of this name"
        hint = "rename this file, or write `name:`"
        problems.add("set/reserved-name", Position(spec.file), message, hint)
