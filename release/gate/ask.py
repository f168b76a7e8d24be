"""Asks a check by its kind: one module per kind beside this one.

To add a kind, write such a module, the kind's values in `release.policy.gate`, and its member in the policy's schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from release.gate import firing, flags, frozen, gitleaks, image, rehearsed, rules, trivy, values
from release.gate.answer import Finding
from release.gate.world import World
from release.policy.gate import (
    Budget,
    Check,
    Flags,
    ImagePinned,
    NoneFiring,
    NotFrozen,
    Query,
    Rehearsed,
    RulesLoaded,
    ScanClean,
    Secrets,
)

CHECKS: Mapping[type[Any], Callable[[Any, World], Awaitable[Finding]]] = {
    NotFrozen: frozen.check,
    RulesLoaded: rules.check,
    NoneFiring: firing.check,
    Budget: values.check_budget,
    Query: values.check_query,
    ImagePinned: image.check,
    ScanClean: trivy.check,
    Secrets: gitleaks.check,
    Flags: flags.check,
    Rehearsed: rehearsed.check,
}


async def ask(check: Check, world: World) -> Finding:
    """Ask one check."""
    return await CHECKS[type(check)](check, world)
