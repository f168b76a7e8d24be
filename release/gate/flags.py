"""`flags`: a file of feature flags holds these flags, and flags have these values.

The file is flagd's JSON. For `present` alone, a plain JSON object of flags will do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from freezeline import extras
from release.gate.answer import Finding
from release.gate.world import EvidenceError, World, cannot_tell, go, no_go
from release.policy.gate import FlagIs, Flags

EVALUATOR = "openfeature.contrib.tools.flagd.core"
MISSING = f"the values of feature flags need flagd's evaluator: {extras.install('flags')}"


def evaluator_is_here() -> bool:
    """Whether the extra `flags` is here."""
    try:
        return find_spec(EVALUATOR) is not None
    except ModuleNotFoundError:
        return False


async def check(check: Flags, world: World, installed: Callable[[], bool] = evaluator_is_here) -> Finding:
    """Every named flag is in the file, and every named value is what the flag gives."""
    threshold = ", ".join([*check.present, *(expected(one) for one in check.values)])
    try:
        text = world.read(check.flag_file)
        known = _known(check.flag_file, text)
        lacking = [name for name in (*check.present, *(one.flag for one in check.values)) if name not in known]
        missing = list(dict.fromkeys(lacking))
        wrong = [f"{check.flag_file} lacks {', '.join(missing)}"] if missing else []
        values = [one for one in check.values if one.flag in known]
        wrong += _wrong_values(check.flag_file, text, values, installed)
    except EvidenceError as error:
        return cannot_tell(check.id, check.flag_file, str(error), threshold=threshold)
    value = f"{len(known)} flags"
    if wrong:
        return no_go(check.id, check.flag_file, "; ".join(wrong), value=value, threshold=threshold)
    reason = f"{check.flag_file} has every flag" + (", with the values asked for" if check.values else "")
    return go(check.id, check.flag_file, reason, value=value, threshold=threshold)


def expected(one: FlagIs) -> str:
    """An expectation for people, such as `provider_fallback is true for x-provider-fallback="on"`."""
    context = ", ".join(f"{name}={json.dumps(value)}" for name, value in one.context.items())
    return f"{one.flag} is {json.dumps(one.value)}" + (f" for {context}" if context else "")


def _known(name: str, text: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise EvidenceError(f"{name} is not JSON") from error
    if isinstance(content, dict) and isinstance(content.get("flags"), dict):
        content = content["flags"]
    if not isinstance(content, dict):
        raise EvidenceError(f"{name} holds no flags")
    return content


def _wrong_values(name: str, text: bytes, values: list[FlagIs], installed: Callable[[], bool]) -> list[str]:
    """Which values are not as asked for. Raises EvidenceError where nobody can evaluate the flags."""
    if not values:
        return []
    if not installed():
        raise EvidenceError(MISSING)
    # Imported for checks of values alone: the module needs flagd's evaluator, which an installation may lack.
    wrong: list[str] = import_module("release.gate.flag_values").wrong(name, text, values)
    return wrong
