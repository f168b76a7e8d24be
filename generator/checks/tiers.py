"""Default tiers that an SLO cannot have."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.model.spec import OutputSet

CODES = ("tier/dropped",)


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report each default tier that an SLO does without, with the reason."""
    for spec in output_set.specs:
        for slo in spec.slos:
            for tier in slo.dropped_tiers:
                message = f"slos.{slo.name} does without the tier {tier.name}: {tier.reason}"
                hint = "write `tiers:` with a smaller `share` or another `long`"
                if not slo.profile.tiers:
                    hint = f"{hint}, or `tiers: off`: no burn-rate alert remains"
                problems.add("tier/dropped", slo.position, message, hint, warning=True)
