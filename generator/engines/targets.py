"""Every engine that evaluates rules, by the name that `--target` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from freezeline.problems import Problem
from generator import names
from generator.engines import metricsql, mimir, thanos
from generator.render.rules.rule_file import RuleFile


class Target(Struct, frozen=True, kw_only=True):
    """One engine: how its rule files differ, and what its Kubernetes operator calls them."""

    adapt: Callable[[RuleFile, int], RuleFile]
    """From a rule file and the scrape interval in milliseconds to the engine's file; 0 where no rule reads counters."""

    refused: Callable[[Iterable[RuleFile]], list[Problem]]
    """What the engine cannot evaluate, as problems of the specs."""

    kind: str = "PrometheusRule"
    """The Kubernetes object that holds the rules."""

    uploaded: bool = False
    """Whether a tool uploads the rules into a namespace of the engine."""


def _as_it_is(file: RuleFile, _scrape_ms: int) -> RuleFile:
    return file


def _nothing(_files: Iterable[RuleFile]) -> list[Problem]:
    return []


TARGETS: Mapping[str, Target] = {
    names.PROMETHEUS: Target(adapt=_as_it_is, refused=_nothing),
    "thanos": Target(adapt=thanos.adapt, refused=_nothing, kind="ConfigMap"),
    "cortex": Target(adapt=_as_it_is, refused=_nothing, uploaded=True),
    "mimir": Target(adapt=mimir.adapt, refused=_nothing, uploaded=True),
    "victoriametrics": Target(adapt=metricsql.adapt, refused=metricsql.refused, kind="VMRule"),
}
