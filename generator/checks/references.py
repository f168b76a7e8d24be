"""Names that one section uses and another defines: actions, alerts, SLOs, teams and channels; and freeze flags.

The check of a section is imported for a spec with the section.
"""

from __future__ import annotations

from freezeline.problems import Problems
from generator.model.spec import OutputSet, Spec


def check(output_set: OutputSet, problems: Problems) -> None:
    """Each section's module checks the names that the section uses."""
    for spec in output_set.specs:
        if spec.policy or spec.actions:
            from generator.checks import policy

            policy.check(spec, problems)
        if spec.routing is not None:
            from generator.checks import routing

            routing.check(spec, problems)
        elif _acts(spec) and not spec.owner.addressed:
            from generator.checks import routing

            routing.check_told(spec, problems)
        if spec.canary is not None:
            from generator.checks import canary

            canary.check(spec, problems)
        if spec.gate is not None:
            from generator.checks import gate

            gate.check(spec, problems)
        if spec.dashboard is not None:
            from generator.checks import dashboard

            dashboard.check(spec, problems)
    if any(spec.actions for spec in output_set.specs):
        from generator.checks import flags

        flags.check(output_set, problems)


def _acts(spec: Spec) -> bool:
    """Whether the spec generates more than rules. Other alerts may be routed by a configuration of the user's own."""
    return bool(spec.policy or spec.actions) or spec.canary is not None
