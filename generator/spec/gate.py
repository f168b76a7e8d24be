"""Reads `gate`: what must hold before a release ships. `freezeline gate` asks each check.

A check's keys decide its kind. The checks `not-frozen` and `rules-loaded` have no key besides their `id`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from generator import names
from generator.model.gate import (
    BudgetLeft,
    Check,
    CheckKind,
    Gate,
    ImagePinned,
    NoneFiring,
    NoSecrets,
    NotFrozen,
    QueryWithin,
    Rehearsed,
    RulesLoaded,
    ScanClean,
    default,
)
from generator.names import SEVERITIES
from generator.promql.check import Want
from generator.promql.text import is_label_name
from generator.reading.reader import Reader
from generator.sli.histogram import unit_written
from generator.spec import gate_flags
from generator.units import DAY

SOURCES = ("flag", "prometheus", "receiver")
USES = ("required", "optional")
SEVERITIES_OF_SCANS = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
REHEARSALS = ("fallback", "recovery", "canary", "rollback", "loop", "stream")
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


def parse(reader: Reader) -> Gate:
    """The `gate` section. Every problem is reported with its position."""
    checks: dict[str, Check] = {}
    broken: set[str] = set()
    for inner in reader.readers("checks"):
        before = inner.problems.error_count
        check_id = inner.name("id")
        kind = _parse_kind(check_id, inner)
        inner.finish()
        if check_id in checks:
            hint = f"write another `id:`; line {checks[check_id].position.line} has this one"
            inner.fail("gate/duplicate-check", f"two checks have the id {check_id}", hint, key="id")
        elif kind is not None and inner.problems.error_count == before:
            checks[check_id] = Check(id=check_id, kind=kind, position=inner.position)
        else:
            broken.add(check_id)
    gate = Gate(
        sources=_parse_sources(reader),
        checks=tuple(checks.values()),
        position=reader.position,
        broken=frozenset(broken),
    )
    if not reader.values("checks"):
        reader.fail(
            "gate/empty", "a gate without checks would say GO to every release", "add `checks: [{id: not-frozen}]`"
        )
    reader.finish()
    return gate


def _parse_sources(reader: Reader) -> dict[str, str]:
    found = dict(default(reader.position).sources)
    inner = reader.mapping("sources")
    if inner is not None:
        found.update({source: inner.choice(source, USES) for source in SOURCES if inner.has(source)})
        inner.finish()
    return found


def _parse_kind(check_id: str, reader: Reader) -> CheckKind | None:
    by_id: dict[str, CheckKind] = {"not-frozen": NotFrozen(), "rules-loaded": RulesLoaded()}
    written = [key for key in _BY_KEY if key in reader.keys()]  # noqa: SIM118 - a Reader is no mapping
    if len(written) == 1:
        return _BY_KEY[written[0]](reader)
    if not written and check_id in by_id:
        return by_id[check_id]
    hint = f"write `id: {'` or `id: '.join(by_id)}`, or one of the keys {', '.join(_BY_KEY)}"
    message = (
        f"{reader.what} has the keys of several checks"
        if written
        else f"{reader.what}: the check {check_id!r} has no key that says what to check"
    )
    reader.fail("gate/check", message, hint)
    for key in reader.keys():  # noqa: SIM118 - as above
        reader.has(key)  # nobody knows what the other keys mean here: one problem is enough
    return None


def _none_firing(reader: Reader) -> NoneFiring:
    inner = reader.mapping("none_firing", required=True)
    if inner is None:
        return NoneFiring(match=())
    match = []
    for key, _ in inner.free_entries():
        label = "alertname" if key == "alert" else key
        if not is_label_name(label):
            inner.fail(
                "spec/label",
                f"{label!r} is not a label name",
                "use only letters, digits and `_`, and begin with a letter",
                key=key,
            )
        match.append((label, inner.choice(key, SEVERITIES) if label == names.SEVERITY else inner.text(key)))
    return NoneFiring(match=tuple(match))


def _budget(reader: Reader) -> BudgetLeft:
    at_least = reader.ratio("remaining_at_least")
    if not 0 <= at_least < 1:
        hint = "write a share of the whole budget, such as `remaining_at_least: 10%`"
        reader.fail(
            "gate/budget",
            f"{reader.what}: the share of the budget must be at least 0% and below 100%",
            hint,
            key="remaining_at_least",
        )
    return BudgetLeft(slo=reader.text("slo"), at_least=at_least)


def _image(reader: Reader) -> ImagePinned:
    image = reader.text("image")
    if image and not _VARIABLE.search(image) and not _DIGEST.fullmatch(image):
        hint = "write `image: name@sha256:…` with 64 hex digits, or `image: ${IMAGE}` for a variable of the environment"
        reader.fail("gate/image", f"the image {image!r} has no digest", hint, key="image")
    return ImagePinned(image=image)


def _scan(reader: Reader) -> ScanClean:
    at_most: list[tuple[str, int]] = []
    inner = reader.mapping("at_most")
    if inner is not None:
        at_most = [(severity, inner.integer(severity)) for severity in SEVERITIES_OF_SCANS if inner.has(severity)]
        inner.finish()
    return ScanClean(
        trivy=reader.text("trivy"),
        at_most=tuple(at_most) or (("CRITICAL", 0),),
        max_age_ms=reader.duration_ms("max_age", DAY),
        same_digest_as=reader.text("same_digest_as", ""),
    )


def _secrets(reader: Reader) -> NoSecrets:
    inner = reader.mapping("secrets", required=True)
    if inner is None:
        return NoSecrets(report="", at_most=0, max_age_ms=None)
    found = NoSecrets(
        report=inner.text("report"),
        at_most=inner.integer("at_most", 0),
        max_age_ms=inner.duration_ms("max_age") if inner.has("max_age") else None,
    )
    inner.finish()
    return found


def _query(reader: Reader) -> QueryWithin:
    bounds = [(op, *reader.bound(key)) for key, op in (("max", "<="), ("min", ">=")) if reader.has(key)]
    if len(bounds) != 1:
        reader.fail("gate/check", f"{reader.what} needs exactly one of `max` and `min`", "add `max: 1%` or `min: 99%`")
    op, value, written = bounds[0] if bounds else ("<=", Decimal(0), "")
    query = reader.promql("query", Want.NUMBER)
    return QueryWithin(query=query, op=op, value=value, unit=unit_written(written))


def _rehearsed(reader: Reader) -> Rehearsed:
    limits = ("rto", "rpo", "deploy", "rollback", "first_event")
    return Rehearsed(
        kind=reader.choice("rehearsal", REHEARSALS),
        max_age_ms=reader.duration_ms("max_age"),
        limits_ms={
            f"{limit}_at_most": reader.duration_ms(f"{limit}_at_most")
            for limit in limits
            if reader.has(f"{limit}_at_most")
        },
        integrity=reader.boolean("integrity", False),
        connected_at_least=reader.ratio("connected_at_least") if reader.has("connected_at_least") else None,
    )


_BY_KEY: dict[str, Callable[[Reader], CheckKind]] = {
    "none_firing": _none_firing,
    "remaining_at_least": _budget,
    "image": _image,
    "trivy": _scan,
    "secrets": _secrets,
    "query": _query,
    "flag_file": gate_flags.parse,
    "rehearsal": _rehearsed,
}
