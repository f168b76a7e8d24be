"""How the policy writes durations, commands, matchers and budget queries."""

from __future__ import annotations

from collections.abc import Iterable

from generator import names
from generator.model.command import Command
from generator.model.spec import Slo, Spec
from generator.promql.text import matchers_text

RuleText = tuple[str, str]
"""Name and expression of a rule."""


def seconds(duration_ms: int) -> int | float:
    """Seconds as a JSON number; whole numbers have no decimal point."""
    whole, rest_ms = divmod(duration_ms, 1000)
    return whole if rest_ms == 0 else duration_ms / 1000


def command(found: Command) -> dict[str, object]:
    """A command with its time limit."""
    return {"command": list(found.argv), "timeout_s": seconds(found.timeout_ms)}


def matcher_list(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Equality with each label."""
    return [{"label": label, "op": "=", "value": value} for label, value in pairs]


def budget_query(spec: Spec, slo: Slo) -> str:
    """The rest of the SLO's budget, as a ratio; for a grouped SLO, in its worst group."""
    series = names.ERROR_BUDGET_REMAINING + matchers_text({names.SERVICE: spec.service, names.SLO: slo.name})
    return f"min({series})" if slo.group_by else series
