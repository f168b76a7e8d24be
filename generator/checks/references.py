"""Names that one section uses and another must define: actions, alerts, SLOs, teams, channels."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.checks import canary, dashboard, gate, policy, routing
from generator.model.spec import OutputSet, Spec


def check(output_set: OutputSet, problems: Problems) -> None:
    """Each section checks its own references."""
    for spec in output_set.specs:
        if spec.policy or spec.actions:
            policy.check(spec, problems)
        if spec.routing is not None:
            routing.check(spec, problems)
        elif _acts(spec) and not spec.owner.addressed:
            routing.check_told(spec, problems)
        if spec.canary is not None:
            canary.check(spec, problems)
        if spec.gate is not None:
            gate.check(spec, problems)
        if spec.dashboard is not None:
            dashboard.check(spec, problems)


def _acts(spec: Spec) -> bool:
    """Whether the spec is for more than rules, whose alerts somebody may route by a configuration of their own."""
    return bool(spec.policy or spec.actions) or spec.canary is not None
