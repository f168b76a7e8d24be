"""Default tiers that an objective cannot have."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.model.spec import OutputSet

CODES = ("tier/dropped",)


def check(output_set: OutputSet, problems: Problems) -> None:
    """Say which of the usual tiers an SLO goes without, and why."""
    for spec in output_set.specs:
        for slo in spec.slos:
            for tier in slo.dropped_tiers:
                message = f"slos.{slo.name} goes without the tier {tier.name}: {tier.reason}"
                hint = "write `tiers:` of your own, with a smaller share or other windows"
                if not slo.profile.tiers:
                    hint = f"no burn-rate alert remains; {hint}, or `tiers: off`"
                problems.add("tier/dropped", slo.position, message, hint, warning=True)
