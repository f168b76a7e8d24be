"""What may exist only once in a set: spec names, and an SLO of a service."""

from __future__ import annotations

from freezeline.problems import Position, Problems
from generator.model import OutputSet

CODES = ("set/spec-name", "set/duplicate-slo")


def check(output_set: OutputSet, problems: Problems) -> None:
    """Two specs of one name would overwrite each other's artefacts; one SLO written twice would be counted twice."""
    names: dict[str, str] = {}
    slos: dict[tuple[str, str], Position] = {}
    for spec in output_set.specs:
        if spec.name in names:
            hint = f"rename this file, or give it another `name:`; the other is {names[spec.name]}"
            problems.add("set/spec-name", Position(spec.file), f"two specs are named {spec.name!r}", hint)
        names.setdefault(spec.name, spec.file)
        for slo in spec.slos:
            key = (spec.service, slo.name)
            if key in slos:
                message = f"the SLO {slo.name!r} of {spec.service!r} is defined twice"
                problems.add("set/duplicate-slo", slo.position, message, f"the other is at {slos[key]}")
            slos.setdefault(key, slo.position)
