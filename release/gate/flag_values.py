"""The values of feature flags, by flagd's own evaluator. Needs the extra `freezeline[flags]`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason

from receiver.plaintext import plain
from release.gate.flags import expected
from release.gate.world import EvidenceError
from release.policy.gate import FlagIs


def wrong(name: str, text: bytes, values: Sequence[FlagIs]) -> list[str]:
    """Which values are not as asked for. Raises EvidenceError where flagd refuses the file or a flag."""
    core = FlagdCore()
    try:
        core.set_flags(text.decode())
    except Exception as error:  # whatever flagd cannot read: the check cannot tell
        raise EvidenceError(f"flagd refuses {name}: {plain(str(error), 200)}") from error
    return [why for one in values if (why := _wrong(core, one))]


def _wrong(core: FlagdCore, one: FlagIs) -> str:
    try:
        found = _resolve(core, one)
    except TypeMismatchError as error:
        return f"{expected(one)}, but the flag has another type: {plain(error.error_message or '', 100)}"
    except Exception as error:  # a targeting rule may fail in any way: the check cannot tell
        why = f"{type(error).__name__} {plain(str(error), 150)}"
        raise EvidenceError(f"flagd cannot evaluate {one.flag}: {why}") from error
    if found.reason == Reason.DISABLED:
        return f"{one.flag} is DISABLED, so the flag has no value"
    if found.variant is None:
        return f"{one.flag} has no variant here, so each service uses the default in its code"
    return "" if found.value == one.value else f"{expected(one)}, but is {json.dumps(found.value)}"


def _resolve(core: FlagdCore, one: FlagIs) -> FlagResolutionDetails[Any]:
    context = EvaluationContext(
        targeting_key=str(one.context["targetingKey"]) if "targetingKey" in one.context else None,
        attributes={key: value for key, value in one.context.items() if key != "targetingKey"},
    )
    if isinstance(one.value, bool):
        return core.resolve_boolean_value(one.flag, not one.value, context)
    if isinstance(one.value, str):
        return core.resolve_string_value(one.flag, "", context)
    return core.resolve_float_value(one.flag, 0.0, context)
