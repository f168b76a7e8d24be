"""Reads `canary.gates`: what is measured while a rollout goes on, and the bounds."""

from __future__ import annotations

import re
from decimal import Decimal

from generator.model.canary_gate import CanaryGate
from generator.promql.check import Want
from generator.reading.reader import Reader

PLACEHOLDERS = frozenset({"$canary", "$stable"})
_PLACEHOLDER = re.compile(r"\$\w+")


def parse(reader: Reader) -> tuple[CanaryGate, ...]:
    """The sound gates under `gates`, in the order of the spec. Every problem is reported with its position."""
    gates: dict[str, CanaryGate] = {}
    for inner in reader.readers("gates"):
        before = inner.problems.error_count
        gate = _parse_gate(inner)
        if gate.id in gates:
            hint = f"write another `id:`; line {gates[gate.id].position.line} has this one"
            inner.fail("canary/duplicate-gate", f"two gates have the id {gate.id}", hint, key="id")
        elif inner.problems.error_count == before:
            gates[gate.id] = gate
    return tuple(gates.values())


def _parse_gate(reader: Reader) -> CanaryGate:
    source = reader.choice("source", ("prometheus", "push"), "prometheus")
    bounds = [(op, reader.bound(key)[0]) for key, op in (("max", "<="), ("min", ">=")) if reader.has(key)]
    if len(bounds) != 1:
        reader.fail("canary/gate", f"{reader.what} needs exactly one of `max` and `min`", "add `max: 1%` or `min: 99%`")
    op, value = bounds[0] if bounds else ("<=", Decimal(0))
    if source == "push" and reader.has("query"):
        reader.fail(
            "canary/gate",
            f"{reader.what} has `source: push` and a `query`",
            "remove `query`, or remove `source: push`",
            key="query",
        )
    gate = CanaryGate(
        id=reader.name("id"),
        query="" if source == "push" else _read_query(reader),
        op=op,
        value=value,
        consecutive=reader.integer("consecutive", 1, at_least=1),
        position=reader.position,
    )
    reader.finish()
    return gate


def _read_query(reader: Reader) -> str:
    query = reader.promql("query", Want.NUMBER)
    for word in dict.fromkeys(_PLACEHOLDER.findall(query)):
        if word not in PLACEHOLDERS:
            hint = f"use {' and '.join(sorted(PLACEHOLDERS))}, which stand for the two releases"
            reader.fail(
                "canary/placeholder",
                f"{reader.what}: the receiver does not know the placeholder {word}",
                hint,
                key="query",
            )
    return query
