"""Reads `canary.stages`: the shares of traffic, and how long each share is watched."""

from __future__ import annotations

from generator.model.canary import Stage
from generator.reading.reader import Reader
from generator.spec import ab, asks
from generator.units import DAY, percent_text


def parse(reader: Reader) -> tuple[Stage, ...]:
    """The stages under `stages`. Weights grow from stage to stage, and the last weight is 100 %."""
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
    then = reader.mapping("then")
    if reader.has("bake") == reader.has("soak"):
        hint = "write `bake: 1h` in a stage with a stage after it, `soak: 24h` in the last stage"
        reader.fail("canary/stage", f"{reader.what} needs exactly one of `bake` and `soak`", hint)
    stage = Stage(
        weight=reader.ratio("weight"),
        bake_ms=reader.duration_ms("bake") if reader.has("bake") else 0,
        soak_ms=reader.duration_ms("soak") if reader.has("soak") else 0,
        then=asks.parse(then) if then is not None else None,
        daily=asks.parse_daily(reader),
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
