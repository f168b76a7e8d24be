"""Reads `canary`: the stages of a rollout, and what aborts the rollout. The receiver runs the rollout."""

from __future__ import annotations

from generator.model import policy
from generator.model.canary import Ask, Canary, NoData, Stage
from generator.names import SEVERITIES
from generator.reading.reader import Reader
from generator.spec import ab, canary_gates, traffic
from generator.spec.command import read_command
from generator.units import DAY, MINUTE, SECOND, percent_text

DEPLOY_TIMEOUT_MS = 300 * SECOND
RELEASE_TIMEOUT_MS = 5 * SECOND


def parse(reader: Reader) -> Canary:
    """The `canary` section. Every problem is reported with its position."""
    start = reader.mapping("start")
    canary = Canary(
        deploy=read_command(reader, "deploy", timeout_ms=DEPLOY_TIMEOUT_MS),
        release=read_command(reader, "release", timeout_ms=RELEASE_TIMEOUT_MS),
        traffic=traffic.parse(reader),
        start=_parse_ask(start) if start is not None else None,
        every_ms=reader.duration_ms("every", 30 * SECOND, at_least=SECOND),
        min_samples=reader.integer("min_samples", 1, at_least=1),
        no_data=_parse_no_data(reader),
        stages=_parse_stages(reader),
        gates=canary_gates.parse(reader),
        abort_on=tuple(_parse_abort(inner) for inner in reader.readers("abort_on")),
        on_abort=reader.texts("on_abort"),
        position=reader.position,
    )
    reader.finish()
    if not canary.gates and not canary.abort_on and not reader.has("gates"):
        hint = "add `abort_on: [{severity: critical}]`, or `gates:` with queries and bounds"
        reader.fail("canary/blind", "neither a gate nor an alert can abort this rollout", hint)
    return canary


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
        ab=ab.parse(reader),
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
