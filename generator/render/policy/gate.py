"""The policy's `gate` member: the checklist of `freezeline gate`. `kind` names the kind of a check."""

from __future__ import annotations

from collections.abc import Sequence

from generator import names
from generator.model.gate import (
    BudgetLeft,
    Check,
    FlagsPresent,
    Gate,
    ImagePinned,
    NoneFiring,
    NoSecrets,
    NotFrozen,
    QueryWithin,
    Rehearsed,
    RulesLoaded,
    ScanClean,
)
from generator.model.spec import Spec
from generator.render.policy.policy_values import RuleText, budget_query, matcher_list, seconds
from generator.units import decimal_text


def render(spec: Spec, gate: Gate, loaded: Sequence[RuleText]) -> dict[str, object]:
    """The `gate` section as JSON data. `loaded` are the rules that Prometheus must run."""
    return {
        "sources": dict(gate.sources),
        "checks": [{"id": check.id, **_check(spec, check, loaded)} for check in gate.checks],
    }


def _check(spec: Spec, check: Check, loaded: Sequence[RuleText]) -> dict[str, object]:
    match check.kind:
        case NotFrozen():
            return {"kind": "not-frozen"}
        case RulesLoaded():
            return {"kind": "rules-loaded", "rules": [{"name": name, "query": query} for name, query in loaded]}
        case NoneFiring(match=match):
            pairs = (*match, (names.SERVICE, spec.service))
            return {"kind": "none-firing", "match": matcher_list(pairs)}
        case BudgetLeft(slo=slo, at_least=at_least):
            query = next(budget_query(spec, one) for one in spec.slos if one.name == slo)
            return {"kind": "budget", "slo": slo, "query": query, "op": ">=", "value": decimal_text(at_least)}
        case QueryWithin(query=query, op=op, value=value, unit=unit):
            shown = {"unit": unit} if unit else {}
            return {"kind": "query", "query": query, **shown, "op": op, "value": decimal_text(value)}
        case _:
            return _evidence(check)


def _evidence(check: Check) -> dict[str, object]:
    """Checks that read reports of other tools."""
    match check.kind:
        case ImagePinned(image=image):
            return {"kind": "image-pinned", "image": image}
        case ScanClean() as scan:
            found: dict[str, object] = {
                "kind": "scan-clean",
                "trivy": scan.trivy,
                "at_most": dict(scan.at_most),
                "max_age_s": seconds(scan.max_age_ms),
            }
            return found | ({"same_digest_as": scan.same_digest_as} if scan.same_digest_as else {})
        case NoSecrets(report=report, at_most=at_most, max_age_ms=max_age_ms):
            age: dict[str, object] = {} if max_age_ms is None else {"max_age_s": seconds(max_age_ms)}
            return {"kind": "secrets", "report": report, "at_most": at_most, **age}
        case FlagsPresent() as flags:
            return _flags(flags)
        case Rehearsed() as rehearsed:
            return _rehearsed(rehearsed)
        case _:
            raise AssertionError(f"{check.id}: a check of unknown kind")


def _rehearsed(rehearsed: Rehearsed) -> dict[str, object]:
    found: dict[str, object] = {
        "kind": "rehearsed",
        "rehearsal": rehearsed.kind,
        "max_age_s": seconds(rehearsed.max_age_ms),
        **{f"{limit}_s": seconds(duration_ms) for limit, duration_ms in rehearsed.limits_ms.items()},
    }
    found |= {"integrity": True} if rehearsed.integrity else {}
    at_least = rehearsed.connected_at_least
    return found | ({} if at_least is None else {"connected_at_least": decimal_text(at_least)})


def _flags(flags: FlagsPresent) -> dict[str, object]:
    found: dict[str, object] = {"kind": "flags", "flag_file": flags.flag_file}
    found |= {"present": list(flags.present)} if flags.present else {}
    values = [
        {"flag": one.flag, "is": one.value} | ({"for": dict(one.context)} if one.context else {})
        for one in flags.values
    ]
    return found | ({"values": values} if values else {})
