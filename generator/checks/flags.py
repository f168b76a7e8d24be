"""Freeze flags of a set: a service has one flag, and a flag one service."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.model.actions import FreezeAction
from generator.model.spec import OutputSet, Spec

CODES = ("set/shared-flag",)


def check(output_set: OutputSet, problems: Problems) -> None:
    """Report a flag of two services, and two flags of a service."""
    flags: dict[str, Spec] = {}
    for spec in output_set.specs:
        _check(spec, flags, problems)


def _check(spec: Spec, flags: dict[str, Spec], problems: Problems) -> None:
    for action in spec.actions.values():
        if not isinstance(action, FreezeAction) or not action.flag:
            continue
        for flag, other in flags.items():
            same_flag, same_service = flag == action.flag, other.service == spec.service
            if same_flag != same_service:
                message = (
                    f"{spec.service} and {other.service} share the flag {flag}"
                    if same_flag
                    else f"{spec.service} has two flags, {flag} and {action.flag}"
                )
                hint = f"write one flag path for each service; the other spec is {other.file}"
                problems.add("set/shared-flag", action.position, message, hint)
        flags.setdefault(action.flag, spec)
