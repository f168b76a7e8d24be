"""Reads `canary`: the stages of a rollout, and what aborts the rollout. The receiver runs the rollout."""

from __future__ import annotations

import re
from decimal import Decimal

from generator.model import policy
from generator.model.canary import AbTest, Ask, Canary, CanaryGate, Haproxy, NoData, Stage, TrafficCommands
from generator.names import SEVERITIES
from generator.promql.check import Want
from generator.reading.reader import Reader
from generator.spec.command import read_argv, read_command, read_path
from generator.units import DAY, MINUTE, SECOND, percent_text

DEPLOY_TIMEOUT_MS = 300 * SECOND
RELEASE_TIMEOUT_MS = 5 * SECOND
TRAFFIC_TIMEOUT_MS = 10 * SECOND
PLACEHOLDERS = frozenset({"$canary", "$stable"})
_PLACEHOLDER = re.compile(r"\$\w+")


def parse(reader: Reader) -> Canary:
    """The `canary` section. Every problem is reported with its position."""
    start = reader.mapping("start")
    canary = Canary(
        deploy=read_command(reader, "deploy", timeout_ms=DEPLOY_TIMEOUT_MS),
        release=read_command(reader, "release", timeout_ms=RELEASE_TIMEOUT_MS),
        traffic=_parse_traffic(reader),
        start=_parse_ask(start) if start is not None else None,
        every_ms=reader.duration_ms("every", 30 * SECOND, at_least=SECOND),
        min_samples=reader.integer("min_samples", 1, at_least=1),
        no_data=_parse_no_data(reader),
        stages=_parse_stages(reader),
        gates=_parse_gates(reader),
        abort_on=tuple(_parse_abort(inner) for inner in reader.readers("abort_on")),
        on_abort=reader.texts("on_abort"),
        position=reader.position,
    )
    reader.finish()
    if not canary.gates and not canary.abort_on and not reader.has("gates"):
        hint = "add `abort_on: [{severity: critical}]`, or `gates:` with queries and bounds"
        reader.fail("canary/blind", "neither a gate nor an alert can abort this rollout", hint)
    return canary


def _parse_traffic(reader: Reader) -> Haproxy | TrafficCommands | None:
    outer = reader.mapping("traffic")
    if outer is None:
        return None
    haproxy, commands = outer.mapping("haproxy"), outer.mapping("commands")
    outer.finish()
    if (haproxy is None) == (commands is None):
        outer.fail(
            "canary/traffic",
            f"{outer.what} needs exactly one adapter",
            "write either `haproxy: {…}` or `commands: {…}`",
        )
    if haproxy is not None:
        adapter = Haproxy(
            socket=read_path(haproxy, "socket"),
            backend=haproxy.name("backend"),
            stable=haproxy.name("stable"),
            canary=haproxy.name("canary"),
        )
        if adapter.stable and adapter.stable == adapter.canary:
            haproxy.fail(
                "canary/traffic",
                "`stable` and `canary` name the same server",
                "write two server names, such as `stable: v1` and `canary: v2`",
                key="canary",
            )
        haproxy.finish()
        return adapter
    if commands is None:
        return None
    timeout_ms = commands.duration_ms("timeout", TRAFFIC_TIMEOUT_MS)
    found = TrafficCommands(set=read_argv(commands, "set"), read=read_argv(commands, "read"), timeout_ms=timeout_ms)
    commands.finish()
    return found


def _parse_ask(reader: Reader) -> Ask:
    ask = Ask(
        gate=reader.boolean("gate", False),
        approval=reader.choice("approval", ("manual",)) if reader.has("approval") else "",
    )
    reader.finish()
    if not ask.gate and not ask.approval:
        reader.fail(
            "canary/ask",
            f"{reader.what} asks neither the gate nor a person",
            "write `{gate: true}` or `{approval: manual}`",
        )
    return ask


def _parse_no_data(reader: Reader) -> NoData:
    inner = reader.mapping("no_data")
    if inner is None:
        return NoData(hold_for_ms=10 * MINUTE, then="abort")
    found = NoData(
        hold_for_ms=inner.duration_ms("hold_for", 10 * MINUTE), then=inner.choice("then", ("abort", "hold"), "abort")
    )
    inner.finish()
    return found


def _parse_stages(reader: Reader) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for inner in reader.readers("stages"):
        stage = _parse_stage(inner)
        if not 0 < stage.weight <= 1:
            inner.fail(
                "canary/weight",
                f"{inner.what}.weight must be above 0% and at most 100%",
                "write `weight: 10%`",
                key="weight",
            )
        elif stages and stage.weight <= stages[-1].weight:
            before = percent_text(stages[-1].weight)
            inner.fail(
                "canary/weight",
                f"{inner.what}.weight is not larger than {before}, the stage before",
                f"write a weight above {before}, or order the stages by weight",
                key="weight",
            )
        stages.append(stage)
    if not stages:
        reader.fail(
            "canary/no-stage",
            "the rollout has no stages",
            "add `stages: [{weight: 10%, bake: 1h}, {weight: 100%, soak: 24h}]`",
        )
    elif stages[-1].weight not in (0, 1):
        hint = "add the stage `{weight: 100%, soak: 24h}`"
        reader.problems.add(
            "canary/weight", stages[-1].position, "the last stage leaves traffic on the old release", hint
        )
    return tuple(stages)


def _parse_stage(reader: Reader) -> Stage:
    then, daily = reader.mapping("then"), reader.mapping("daily")
    if reader.has("bake") == reader.has("soak"):
        hint = "write `bake: 1h` in a stage with a stage after it, `soak: 24h` in the last stage"
        reader.fail("canary/stage", f"{reader.what} needs exactly one of `bake` and `soak`", hint)
    stage = Stage(
        weight=reader.ratio("weight"),
        bake_ms=reader.duration_ms("bake") if reader.has("bake") else 0,
        soak_ms=reader.duration_ms("soak") if reader.has("soak") else 0,
        then=_parse_ask(then) if then is not None else None,
        daily=_parse_ask(daily) if daily is not None else None,
        ab=_parse_ab(reader),
        position=reader.position,
    )
    lasts = "soak" if stage.soak_ms else "bake"
    if stage.daily and max(stage.bake_ms, stage.soak_ms) < DAY:
        reader.fail(
            "canary/stage",
            f"{reader.what} asks daily, but lasts less than a day",
            f"write `{lasts}: 1d` or more, or remove `daily`",
            key="daily",
        )
    reader.finish()
    return stage


def _parse_ab(reader: Reader) -> AbTest | None:
    inner = reader.mapping("ab")
    if inner is None:
        return None
    test = AbTest(
        metrics=inner.texts("metrics"),
        confidence=inner.ratio("confidence", Decimal("0.95")),
        power=inner.ratio("power", Decimal("0.8")),
        method=inner.choice("method", ("fixed-horizon",), "fixed-horizon"),
        then=inner.choice("then", ("approval", "advance"), "approval"),
    )
    if not test.metrics:
        inner.fail(
            "canary/ab",
            f"{inner.what} names no SLO to compare",
            "write `metrics: [errors]` with names under `slos:`",
            key="metrics",
        )
    for key, ratio in (("confidence", test.confidence), ("power", test.power)):
        if not Decimal("0.5") <= ratio < 1:
            inner.fail(
                "canary/ab",
                f"{inner.what}.{key} must be at least 50% and below 100%",
                "write `confidence: 95%` and `power: 80%`",
                key=key,
            )
    inner.finish()
    return test


def _parse_gates(reader: Reader) -> tuple[CanaryGate, ...]:
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


def _parse_abort(reader: Reader) -> policy.Trigger:
    trigger = policy.Trigger(
        alert=reader.text("alert", ""),
        slo=reader.text("slo", ""),
        tier=reader.text("tier", ""),
        severity=reader.choice("severity", SEVERITIES) if reader.has("severity") else "",
        position=reader.position,
    )
    reader.finish()
    if not trigger.alert and not trigger.severity:
        reader.fail(
            "canary/abort",
            f"{reader.what} names neither an alert nor a severity",
            "write `{alert: Name}` or `{severity: critical}`",
        )
    return trigger
